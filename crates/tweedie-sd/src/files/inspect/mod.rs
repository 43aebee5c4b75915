//! What a file or folder of Stable Diffusion is, told by names, shapes and settings: no weights are
//! read.

mod file;
mod folder;

use super::Part;
use crate::Result;
use std::path::{Path, PathBuf};
use tweedie_torch::weights::{TensorInfo, header};

/// What a file or folder is.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// In words: `Stable Diffusion 1.x`, `Stable Diffusion XL, inpainting`, `LoRA for …`, `VAE` …
    pub family: String,
    /// The parts that are there.
    pub parts: Vec<PartSummary>,
    /// Parts, and files of them, that a pipeline needs and that are not there.
    pub missing: Vec<String>,
    /// What else keeps it from being used, such as an option that is not known.
    pub problems: Vec<String>,
}

/// What is known of a part.
#[derive(Clone, Debug)]
pub struct PartSummary {
    /// `unet`, `vae`, `text_encoder`, `scheduler`, …
    pub name: String,
    /// The class that its settings name.
    pub class: Option<String>,
    /// Its tensors under the names that the files have for them; none for what has no weights.
    pub tensors: Vec<TensorInfo>,
}

/// Says what `path` is: a pipeline or a part of one as diffusers saves it, a single file, a LoRA, a
/// textual inversion, a VAE. `None` for a whole safetensors file that is none of these.
///
/// What a pipeline lacks is listed and no error.
///
/// # Errors
/// If a file is broken or cannot be read, or a folder is none of diffusers'.
pub fn inspect(path: &Path) -> Result<Option<Summary>> {
    match path.is_dir() {
        true => folder::inspect(path).map(Some),
        false => file::inspect(path),
    }
}

/// The tensors of several files.
fn tensors(paths: &[PathBuf]) -> Result<Vec<TensorInfo>> {
    let mut all = vec![];
    for path in paths {
        all.extend(header(path)?.tensors);
    }
    Ok(all)
}

/// The tokenizer that goes with a text encoder.
fn tokenizer_of(part: Part) -> &'static str {
    if part == Part::TextEncoder2 { "tokenizer_2" } else { "tokenizer" }
}

/// The family of a pipeline whose UNet takes `channels` in.
fn family(name: impl std::fmt::Display, takes_mask: bool) -> String {
    format!("{name}{}", if takes_mask { ", inpainting" } else { "" })
}
