//! Files: a whole pipeline, or what is laid over one.

use super::{PartSummary, Summary, family};
use crate::Result;
use crate::files::ldm::{self, Family, Guess, Shapes};
use crate::files::{Part, refuse_pickle};
use crate::lora;
use std::collections::BTreeSet;
use std::path::Path;
use tweedie_torch::weights::{TensorInfo, header};

pub(super) fn inspect(path: &Path) -> Result<Option<Summary>> {
    if path.is_file() {
        refuse_pickle(path)?;
    }
    let tensors = header(path)?.tensors;
    let shapes: Shapes = tensors.iter().map(|t| (t.name.clone(), t.shape.clone())).collect();
    if shapes.keys().any(|name| name.starts_with("model.diffusion_model.")) {
        return Ok(Some(checkpoint(path, &tensors, &shapes)));
    }
    Ok(adapter(&tensors).or_else(|| inversion(&tensors)).or_else(|| part(path, &tensors, &shapes)))
}

/// A single-file checkpoint.
fn checkpoint(path: &Path, tensors: &[TensorInfo], shapes: &Shapes) -> Summary {
    let guess = match ldm::guess(path, shapes) {
        Ok(guess) => guess,
        Err(error) => {
            let family = "a single file of no family that is known".into();
            return Summary { family, problems: vec![error.to_string()], ..Summary::default() };
        }
    };
    let needed: &[Part] = match guess.family {
        Family::Sd1 | Family::Sd2 => &[Part::Unet, Part::Vae, Part::TextEncoder],
        Family::Sdxl => &Part::ALL,
        Family::SdxlRefiner => &[Part::Unet, Part::Vae, Part::TextEncoder2],
    };
    let lacks = needed.iter().filter(|part| !guess.parts.contains(part));
    Summary {
        family: family(guess.family, guess.inpainting),
        parts: guess.parts.iter().map(|&part| of_the_file(&guess, part, tensors)).collect(),
        missing: lacks.map(Part::to_string).collect(),
        problems: vec![],
    }
}

fn of_the_file(guess: &Guess, part: Part, tensors: &[TensorInfo]) -> PartSummary {
    let sources = guess.sources.iter().filter(|s| s.target.part == part);
    let names: BTreeSet<&str> = sources.map(|s| s.tensor.as_str()).collect();
    let tensors = tensors.iter().filter(|t| names.contains(t.name.as_str())).cloned().collect();
    PartSummary { name: part.to_string(), class: None, tensors }
}

fn summary(family: String) -> Option<Summary> {
    Some(Summary { family, ..Summary::default() })
}

/// A LoRA, or another adapter that is not built.
fn adapter(tensors: &[TensorInfo]) -> Option<Summary> {
    let kind = lora::kind(tensors.iter().map(|t| t.name.as_str()))?;
    let width = tensors.iter().find(|t| {
        let module = t.name.replace('.', "_");
        module.contains("attn2_")
            && (module.contains("to_k_lora_down") || module.contains("to_k_lora_A"))
    });
    let of = width.and_then(|t| by_width(*t.shape.get(1)?)).unwrap_or("Stable Diffusion");
    let mut summary = summary(format!("{kind} for {of}"))?;
    if kind != lora::LORA {
        summary.problems.push(format!("{kind} is not built: LoRA and LoCon are"));
    }
    Some(summary)
}

/// The family whose prompts have tokens of this width.
fn by_width(width: i64) -> Option<&'static str> {
    match width {
        768 => Some("Stable Diffusion 1.x"),
        1024 => Some("Stable Diffusion 2.x"),
        2048 => Some("Stable Diffusion XL"),
        1280 => Some("Stable Diffusion XL refiner"),
        _ => None,
    }
}

/// A textual inversion: words for one encoder, or for SDXL's two.
fn inversion(tensors: &[TensorInfo]) -> Option<Summary> {
    let has = |name: &str| tensors.iter().any(|t| t.name == name);
    if has("clip_l") && has("clip_g") {
        return summary("textual inversion for Stable Diffusion XL".into());
    }
    let vectors = match tensors {
        [one] => Some(one),
        all => all.iter().find(|t| t.name == "emb_params"),
    }?;
    let width = match vectors.shape[..] {
        [width] | [_, width] => width,
        _ => return None,
    };
    match (by_width(width), vectors.name.as_str()) {
        (Some(of), _) => summary(format!("textual inversion for {of}")),
        (None, name) if name == "emb_params" || name.starts_with('<') => {
            summary("textual inversion for Stable Diffusion".into())
        }
        _ => None,
    }
}

/// One part of a pipeline, under diffusers' names or the original code's.
fn part(path: &Path, tensors: &[TensorInfo], shapes: &Shapes) -> Option<Summary> {
    let has = |name: &str| shapes.contains_key(name);
    let plain = |name: &str| has(name) || has(&format!("text_model.{name}"));
    if has("time_embedding.linear_1.weight") && has("mid_block.resnets.0.conv1.weight") {
        return summary("UNet of Stable Diffusion".into());
    }
    if plain("embeddings.token_embedding.weight") && plain("final_layer_norm.weight") {
        return summary("text encoder of Stable Diffusion".into());
    }
    let diffusers =
        has("decoder.mid_block.resnets.0.conv1.weight") && has("encoder.conv_in.weight");
    let original = || {
        let sources = ldm::plan(path, shapes).unwrap_or_default();
        !sources.is_empty() && sources.iter().all(|s| s.target.part == Part::Vae)
    };
    let first = tensors.iter().any(|t| t.name.ends_with("decoder.conv_in.weight"));
    (first && (diffusers || original()))
        .then(|| summary("VAE of Stable Diffusion".into()))
        .flatten()
}
