//! Single-file checkpoints: the tensor names of the original latent diffusion code, and what
//! they are called in diffusers' folders.
//!
//! Nothing here touches numbers. [`plan`] says where each tensor of a pipeline stands in the file
//! and what is to be done to it; [`guess`] says which model the file is, with the settings that a
//! folder would have.

mod config;
mod guess;
mod layout;
mod text;
mod unet;
mod vae;

pub use guess::{Family, Guess, SD2_V_PREDICTION, guess, sd2_predicts_v};
pub use layout::Layout;
pub(crate) use unet::{Separator, rename as unet_module};

use crate::files::Part;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use tch::Tensor;
use tweedie_torch::weights::Store;

/// The shapes of a file's tensors, by name.
pub type Shapes = BTreeMap<String, Vec<i64>>;

/// The shapes of what `store` has.
pub fn shapes(store: &Store) -> Shapes {
    let shape = |name: &str| Some((name.to_owned(), store.info(name)?.0));
    store.names().filter_map(shape).collect()
}

/// What makes a tensor of a folder out of one of a single file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Nothing.
    Keep,
    /// One of three equal parts of the rows: 0 queries, 1 keys, 2 values.
    Third(i64),
    /// Rows become columns.
    Transpose,
    /// The weight of a 1×1 convolution, `[out, in, 1, 1]`, as that of a linear layer.
    Linear,
}

impl Operation {
    /// The result, which shares `t`'s memory.
    ///
    /// # Errors
    /// If `t` has a shape that this cannot be done to.
    pub fn apply(self, t: &Tensor) -> Result<Tensor> {
        let size = t.size();
        let Some(shape) = self.shape(&size) else {
            return Err(Error::shape("a tensor of the single file", self.wants(), &size));
        };
        let rows = shape.first().copied().unwrap_or(0);
        let made = match self {
            Operation::Keep => Ok(t.shallow_clone()),
            Operation::Third(i) => t.f_narrow(0, i * rows, rows),
            Operation::Transpose => t.f_transpose(0, 1),
            Operation::Linear => t.f_view(shape.as_slice()),
        };
        Ok(made.map_err(tweedie_torch::Error::from)?)
    }

    /// The shape that comes of `shape`; nothing if it cannot be done.
    pub fn shape(self, shape: &[i64]) -> Option<Vec<i64>> {
        match (self, shape) {
            (Operation::Keep, _) => Some(shape.to_vec()),
            (Operation::Third(_), [rows, rest @ ..]) if rows % 3 == 0 => {
                Some([&[rows / 3], rest].concat())
            }
            (Operation::Transpose, [rows, columns]) => Some(vec![*columns, *rows]),
            (Operation::Linear, [rows, columns, ones @ ..]) if ones.iter().all(|&n| n == 1) => {
                Some(vec![*rows, *columns])
            }
            _ => None,
        }
    }

    fn wants(self) -> &'static str {
        match self {
            Operation::Keep => "any",
            Operation::Third(_) => "rows in three equal parts",
            Operation::Transpose => "[rows, columns]",
            Operation::Linear => "[rows, columns] or [rows, columns, 1, 1]",
        }
    }
}

/// A tensor of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The part that it belongs to.
    pub part: Part,
    /// Its name there.
    pub name: String,
    /// How it is made.
    pub operation: Operation,
}

/// Where a tensor of a folder stands in a single file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What it is.
    pub target: Target,
    /// The file's name of it.
    pub tensor: String,
    /// The shape that it will have.
    pub shape: Vec<i64>,
}

/// What no picture needs: training's own numbers, averages kept beside the weights, buffers.
const IGNORED: &[&str] = &[
    "model_ema.",
    "loss.",
    "first_stage_model.loss.",
    "embedding_manager.",
    "denoiser.",
    "alphas_cumprod",
    "betas",
    "sqrt_",
    "log_one_minus_alphas_cumprod",
    "posterior_",
    "lvlb_weights",
    "logvar",
    "scale_factor",
    "global_step",
    "v_pred",
    "ztsnr",
];

/// What becomes of one tensor of a single file: nothing where it is not needed, three targets
/// where queries, keys and values stand in one tensor. `None` where the name is not known.
pub fn rename(name: &str, layout: &Layout) -> Option<Vec<Target>> {
    if let Some(rest) = name.strip_prefix("model.diffusion_model.") {
        let new = unet::rename(rest, layout.layers_per_block, Separator::Dot)?;
        return Some(targets(Part::Unet, [(new, Operation::Keep)]));
    }
    if IGNORED.iter().any(|ignored| name.starts_with(ignored)) {
        return Some(vec![]);
    }
    for (prefix, part, encoder) in layout.text_encoders() {
        if let Some(rest) = name.strip_prefix(prefix) {
            return Some(targets(part, encoder.rename(rest)?));
        }
    }
    let vae = name.strip_prefix("first_stage_model.").unwrap_or(name);
    Some(targets(Part::Vae, [vae::rename(vae, layout.vae_levels)?]))
}

fn targets(part: Part, named: impl IntoIterator<Item = (String, Operation)>) -> Vec<Target> {
    let target = |(name, operation)| Target { part, name, operation };
    named.into_iter().map(target).collect()
}

/// Where each tensor of a pipeline stands in the single file `path`, sorted as the file is.
///
/// # Errors
/// If there are tensors with names that are not known, or with shapes that cannot be.
pub fn plan(path: &Path, tensors: &Shapes) -> Result<Vec<Source>> {
    let layout = Layout::read(tensors.keys().map(String::as_str));
    let (mut sources, mut unknown) = (Vec::with_capacity(tensors.len()), Vec::new());
    for (tensor, found) in tensors {
        let Some(targets) = rename(tensor, &layout) else {
            unknown.push(tensor.as_str());
            continue;
        };
        for target in targets {
            let shape = target.operation.shape(found).ok_or_else(|| {
                let wants = target.operation.wants();
                Error::model(path, format!("{tensor} has shape {found:?}, expected {wants}"))
            })?;
            sources.push(Source { target, tensor: tensor.clone(), shape });
        }
    }
    match unknown.is_empty() {
        true => Ok(sources),
        false => Err(Error::model(path, not_known(&unknown))),
    }
}

fn not_known(names: &[&str]) -> String {
    let shown = names[..names.len().min(3)].join(", ");
    let more = if names.len() > 3 { ", …" } else { "" };
    format!(
        "{} of its tensors have no place in a Stable Diffusion model ({shown}{more})",
        names.len()
    )
}

#[cfg(test)]
mod tests;
