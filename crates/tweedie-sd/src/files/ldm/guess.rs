//! Which model a single file is.

use super::config;
use super::{Shapes, Source, plan};
use crate::files::Part;
use crate::{Error, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use tch::{Kind, Tensor};
use tweedie_torch::weights::Store;

/// The families of Stable Diffusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// SD 1.x: CLIP, tokens of 768 numbers.
    Sd1,
    /// SD 2.x: OpenCLIP, 1024.
    Sd2,
    /// SDXL: both, 2048, and sizes as a condition.
    Sdxl,
    /// SDXL's refiner: OpenCLIP, 1280, and an aesthetic score.
    SdxlRefiner,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Sd1 => "Stable Diffusion 1.x",
            Family::Sd2 => "Stable Diffusion 2.x",
            Family::Sdxl => "Stable Diffusion XL",
            Family::SdxlRefiner => "Stable Diffusion XL refiner",
        })
    }
}

/// A single file's model, with the settings that diffusers' folder of it would have.
#[derive(Clone, Debug)]
pub struct Guess {
    /// The family.
    pub family: Family,
    /// Whether its UNet also sees a mask and a masked picture: nine channels.
    pub inpainting: bool,
    /// The parts that are in the file.
    pub parts: BTreeSet<Part>,
    /// Where each of their tensors stands.
    pub sources: Vec<Source>,
    /// Whether the file says that it predicts `v`, by a tensor `v_pred`. For SD 2.x nothing but
    /// numbers tells: see [`sd2_predicts_v`].
    pub says_v: bool,
    /// Whether it says that it was trained with zero terminal SNR, by a tensor `ztsnr`.
    pub says_zero_snr: bool,
}

/// Of the UNet's tensors the one that tells what an SD 2.x model predicts.
pub const SD2_V_PREDICTION: &str =
    "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias";

/// Whether an SD 2.x model predicts `v`: no name or shape tells, but this bias
/// ([`SD2_V_PREDICTION`]) is wider in those that do, which other programs go by too.
///
/// # Errors
/// If libtorch refuses.
pub fn sd2_predicts_v(norm_bias: &Tensor) -> Result<bool> {
    let width = norm_bias.f_to_kind(Kind::Double).and_then(|t| t.f_std(false));
    let width = width.and_then(|t| f64::try_from(&t)).map_err(tweedie_torch::Error::from)?;
    Ok(width > 0.09)
}

/// Which model the single file `path` is, by names and shapes.
///
/// # Errors
/// As [`plan`], if the file has no UNet, or one of a family that is not known.
pub fn guess(path: &Path, tensors: &Shapes) -> Result<Guess> {
    let sources = plan(path, tensors)?;
    let parts: BTreeSet<Part> = sources.iter().map(|s| s.target.part).collect();
    let shapes = shapes_of(&sources, Part::Unet);
    let width = |name: &str, axis: usize| shapes.get(name).and_then(|s| s.get(axis)).copied();
    let Some(channels) = width("conv_in.weight", 1) else {
        return Err(Error::model(path, "there is no UNet in it"));
    };
    let context = shapes.iter().find(|(name, _)| name.ends_with("attn2.to_k.weight"));
    let context = context.and_then(|(_, shape)| shape.get(1)).copied().unwrap_or(0);
    let has = |name: &str| tensors.keys().any(|t| t.starts_with(name));
    let sized = shapes.contains_key("add_embedding.linear_1.weight");
    let family = match (sized, parts.contains(&Part::TextEncoder)) {
        (true, true) => Family::Sdxl,
        (true, false) if parts.contains(&Part::TextEncoder2) => Family::SdxlRefiner,
        (true, false) if context == 1280 => Family::SdxlRefiner,
        (true, false) => Family::Sdxl,
        (false, true) if has("cond_stage_model.transformer.") => Family::Sd1,
        (false, true) => Family::Sd2,
        (false, false) if context == 768 => Family::Sd1,
        (false, false) if context == 1024 => Family::Sd2,
        _ => {
            let problem = format!("a UNet for prompts of width {context} is of no known family");
            return Err(Error::model(path, problem));
        }
    };
    let (says_v, says_zero_snr) = (has("v_pred"), has("ztsnr"));
    Ok(Guess { family, inpainting: channels == 9, parts, sources, says_v, says_zero_snr })
}

impl Guess {
    /// The settings of a part, as its `config.json` would have them; nothing where the file has
    /// no such part.
    pub fn config(&self, part: Part) -> Option<Value> {
        let shapes = shapes_of(&self.sources, part);
        match part {
            _ if shapes.is_empty() => None,
            Part::Unet => config::unet(&shapes, self.family),
            Part::Vae => config::vae(&shapes, self.family),
            Part::TextEncoder => config::text(&shapes, self.family != Family::Sd2),
            Part::TextEncoder2 => config::text(&shapes, false),
        }
    }

    /// The parts of the file `store`, under the names that they have in folders.
    ///
    /// # Errors
    /// If `store` is not the file that this is about.
    pub fn split(&self, store: &Store) -> Result<BTreeMap<Part, Store>> {
        let mut parts: BTreeMap<Part, Store> = BTreeMap::new();
        for Source { target, tensor, .. } in &self.sources {
            let whole = store.get(tensor)?.ok_or_else(|| {
                Error::invalid("a tensor of the single file", "missing", tensor.as_str())
            })?;
            let part = parts.entry(target.part).or_default();
            part.insert(target.name.as_str(), target.operation.apply(&whole)?);
        }
        Ok(parts)
    }

    /// `scheduler_config.json`; `predicts_v` as [`sd2_predicts_v`] or [`Guess::says_v`] tell.
    pub fn scheduler_config(&self, predicts_v: bool) -> Value {
        config::scheduler(self.family, predicts_v, self.says_zero_snr)
    }

    /// `model_index.json`.
    pub fn model_index(&self) -> Value {
        config::model_index(self.family, self.inpainting)
    }
}

fn shapes_of(sources: &[Source], part: Part) -> config::Shapes<'_> {
    let of = sources.iter().filter(|s| s.target.part == part);
    of.map(|s| (s.target.name.as_str(), s.shape.as_slice())).collect::<BTreeMap<_, _>>()
}
