//! Folders as diffusers saves them.

use super::{PartSummary, Summary, family, tensors, tokenizer_of};
use crate::clip::ClipConfig;
use crate::files::ldm::Family;
use crate::files::parts;
use crate::files::{Files, Folder, OpenOptions, Part, Pipeline};
use crate::options::{MOST_BYTES, read_json};
use crate::scheduler::SchedulerConfig;
use crate::{Error, Result};
use serde_json::Value;
use std::path::Path;

pub(super) fn inspect(path: &Path) -> Result<Summary> {
    let (index, config) = (path.join("model_index.json"), path.join("config.json"));
    if !index.is_file() && config.is_file() {
        return one_part(path);
    }
    let mut summary = Summary::default();
    let pipeline = match index.is_file() {
        false if Part::ALL.iter().any(|part| path.join(part.folder()).is_dir()) => {
            summary.missing.push("model_index.json".into());
            by_folders(path)
        }
        _ => Folder::open(path, None)?.pipeline(),
    };
    for &part in [Part::Unet, Part::Vae].iter().chain(pipeline.text_parts()) {
        network(&mut summary, &path.join(part.folder()), part)?;
    }
    scheduler(&mut summary, path)?;
    for &part in pipeline.text_parts() {
        tokenizer(&mut summary, path, tokenizer_of(part));
    }
    if summary.missing.is_empty() {
        summary.problems = problems(path);
    }
    summary.family = name(path, pipeline);
    Ok(summary)
}

/// What the folders that are there tell, where nothing else does.
fn by_folders(path: &Path) -> Pipeline {
    let has = |part: Part| path.join(part.folder()).is_dir();
    let xl = has(Part::TextEncoder2);
    let refiner = xl && !has(Part::TextEncoder);
    Pipeline {
        xl,
        refiner,
        consistent: false,
        zeros_for_no_prompt: false,
        aesthetics_score: refiner,
    }
}

fn network(summary: &mut Summary, folder: &Path, part: Part) -> Result<()> {
    if !folder.is_dir() {
        summary.missing.push(part.to_string());
        return Ok(());
    }
    let config = folder.join("config.json");
    if !config.is_file() {
        summary.missing.push(format!("{part}/config.json"));
    }
    let tensors = match parts::weights(folder, part, None) {
        Ok(store) => tensors(store.paths())?,
        // No file, a shard that is not there, a tensor that is in none, a pickle.
        Err(Error::Model { problem, .. }) => {
            summary.missing.push(format!("weights of {part}: {problem}"));
            vec![]
        }
        Err(broken) => return Err(broken),
    };
    summary.parts.push(PartSummary { name: part.to_string(), class: class(&config), tensors });
    Ok(())
}

fn scheduler(summary: &mut Summary, path: &Path) -> Result<()> {
    let config = path.join("scheduler/scheduler_config.json");
    match config.is_file() {
        true => {
            let (name, class) = ("scheduler".into(), class(&config));
            summary.parts.push(PartSummary { name, class, tensors: vec![] });
        }
        false => summary.missing.push("scheduler".into()),
    }
    Ok(())
}

fn tokenizer(summary: &mut Summary, path: &Path, name: &str) {
    let folder = path.join(name);
    let has = |file: &str| folder.join(file).is_file();
    if has("tokenizer.json") || (has("vocab.json") && has("merges.txt")) {
        let class = read_value(&folder.join("tokenizer_config.json"))
            .and_then(|v| Some(v.get("tokenizer_class")?.as_str()?.to_owned()));
        summary.parts.push(PartSummary { name: name.into(), class, tensors: vec![] });
        return;
    }
    let lost: Vec<_> = ["vocab.json", "merges.txt"].into_iter().filter(|f| !has(f)).collect();
    summary.missing.push(match folder.is_dir() {
        true => format!("{name}: {}", lost.join(", ")),
        false => name.to_owned(),
    });
}

/// What would keep the pipeline from being opened.
fn problems(path: &Path) -> Vec<String> {
    let files = match Files::open(path, &OpenOptions::default()) {
        Ok(files) => files,
        Err(error) => return vec![error.to_string()],
    };
    let texts = files.text_parts().iter();
    let texts = texts.map(|part| ClipConfig::read(&path.join(part.folder()).join("config.json")));
    let scheduler = SchedulerConfig::read(&path.join("scheduler/scheduler_config.json"));
    let found = texts.map(|config| config.map(drop)).chain([scheduler.map(drop)]);
    found.filter_map(Result::err).map(|error| error.to_string()).collect()
}

/// The family of a pipeline: SD 2 has linear layers around its attention, SD 1 convolutions.
fn name(path: &Path, pipeline: Pipeline) -> String {
    let unet = read_value(&path.join("unet/config.json")).unwrap_or_default();
    let vae = read_value(&path.join("vae/config.json")).unwrap_or_default();
    let latent = vae["latent_channels"].as_i64().unwrap_or(4);
    let takes_mask = unet["in_channels"].as_i64() == Some(2 * latent + 1);
    match (pipeline.refiner, pipeline.xl) {
        (true, _) => family(Family::SdxlRefiner, takes_mask),
        (false, true) => family(Family::Sdxl, takes_mask),
        _ if unet.is_null() => family("Stable Diffusion", takes_mask),
        _ if unet["use_linear_projection"] == true => family(Family::Sd2, takes_mask),
        _ => family(Family::Sd1, takes_mask),
    }
}

/// A part by itself, such as a VAE that replaces a model's own.
fn one_part(path: &Path) -> Result<Summary> {
    let config = path.join("config.json");
    let class = class(&config).unwrap_or_default();
    let (part, family) = match class.as_str() {
        "AutoencoderKL" => (Part::Vae, "VAE of Stable Diffusion"),
        "UNet2DConditionModel" => (Part::Unet, "UNet of Stable Diffusion"),
        "CLIPTextModel" => (Part::TextEncoder, "text encoder of Stable Diffusion"),
        "CLIPTextModelWithProjection" => (Part::TextEncoder2, "text encoder of Stable Diffusion"),
        _ => {
            let problem = format!("its class is {class:?}, expected a part of Stable Diffusion");
            return Err(Error::model(&config, problem));
        }
    };
    let mut summary = Summary { family: family.into(), ..Summary::default() };
    network(&mut summary, path, part)?;
    Ok(summary)
}

fn read_value(path: &Path) -> Option<Value> {
    read_json(path, MOST_BYTES).ok()
}

/// The class that a settings file names, in diffusers' way or in transformers'.
fn class(path: &Path) -> Option<String> {
    let settings = read_value(path)?;
    let class = settings.get("_class_name").or_else(|| settings.get("architectures")?.get(0));
    Some(class?.as_str()?.to_owned())
}
