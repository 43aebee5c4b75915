//! LoRA (Hu et al., arXiv:2106.09685): a small file that changes a model's weights by
//! `W + scale · alpha / rank · up · down`.
//!
//! Files of kohya's, peft's and diffusers' styles are read, for linear layers and convolutions
//! (LoCon). [`adapters`] finds the layers of a model that one or several files change; each
//! [`Adapter`] gives the difference of one weight, or the weight with it added. [`Layer::beside`] is
//! for layers that keep their weight and add `scale · alpha / rank · up · (down · x)` to what it gives.

mod adapter;
mod keys;
mod metadata;
mod modules;

pub use adapter::{Adapter, adapters};
pub use modules::Modules;

use crate::files::{Part, refuse_pickle};
use crate::{Error, Result};
use keys::{Key, Role};
use metadata::Metadata;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};
use tweedie_torch::low_rank::{LowRank, SharedScale};
use tweedie_torch::tensor::all_finite;
use tweedie_torch::weights::Store;

/// A LoRA file.
#[derive(Debug)]
pub struct Lora {
    path: PathBuf,
    layers: Vec<Layer>,
}

/// What a LoRA adds to one layer.
#[derive(Debug)]
pub struct Layer {
    /// The part of the pipeline that the layer is in.
    pub part: Part,
    /// The layer's name in the file, its parts joined by underscores.
    pub module: String,
    /// `[rank, in]`, or `[rank, in, height, width]` of a convolution, in f32.
    pub down: Tensor,
    /// `[out, rank]`, or `[out, rank, 1, 1]`, in f32.
    pub up: Tensor,
    /// The rank where the file does not say.
    pub alpha: f64,
}

impl Layer {
    /// How many directions it has.
    pub fn rank(&self) -> i64 {
        self.down.size().first().copied().unwrap_or(1)
    }

    /// It as a term beside its weight, times `scale`.
    ///
    /// # Errors
    /// If libtorch refuses.
    pub fn beside(&self, scale: &SharedScale) -> Result<LowRank> {
        let _guard = tch::no_grad_guard();
        let up = self.up.f_flatten(1, -1)?.f_mul_scalar(self.alpha / self.rank() as f64)?;
        Ok(LowRank { down: self.down.f_flatten(1, -1)?, up, scale: scale.clone() })
    }
}

impl Lora {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is no whole safetensors file, or no LoRA; if a layer lacks one of its factors, or they
    /// do not fit each other, or hold a value that is no number.
    pub fn open(path: &Path) -> Result<Self> {
        refuse_pickle(path)?;
        let store = Store::open(path)?;
        let metadata = Metadata::read(path, store.metadata())?;
        let layers = collect(&store).map_err(Problem::at(path))?;
        if layers.is_empty() {
            return Err(Error::model(path, "there is no LoRA in it"));
        }
        let layers = layers.into_iter().map(|((part, module), found)| {
            found.layer(part, module, &metadata).map_err(Problem::at(path))
        });
        Ok(Lora { path: path.to_path_buf(), layers: layers.collect::<Result<_>>()? })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it adds, layer by layer.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }
}

/// What [`kind`] calls the adapters that are built.
pub(crate) const LORA: &str = "LoRA";

/// What kind of adapter tensors of these names are; `None` where some are of none.
pub(crate) fn kind<'n>(names: impl Iterator<Item = &'n str>) -> Option<&'static str> {
    let mut kind = None;
    for name in names {
        kind = match keys::parse(name) {
            Key::Lora { .. } => kind.or(Some(LORA)),
            Key::Other(other) => Some(other),
            Key::Unknown => return None,
        };
    }
    kind
}

/// What is wrong with a file, or what libtorch says.
enum Problem {
    File(String),
    Torch(tweedie_torch::Error),
}

impl Problem {
    fn at(path: &Path) -> impl Fn(Problem) -> Error + '_ {
        move |problem| match problem {
            Problem::File(problem) => Error::model(path, problem),
            Problem::Torch(error) => Error::Torch(error),
        }
    }
}

impl From<tweedie_torch::Error> for Problem {
    fn from(error: tweedie_torch::Error) -> Self {
        Problem::Torch(error)
    }
}

/// The tensors of a layer, as they are met.
#[derive(Default)]
struct Found {
    down: Option<Tensor>,
    up: Option<Tensor>,
    alpha: Option<Tensor>,
}

type Layers = BTreeMap<(Part, String), Found>;

fn collect(store: &Store) -> Result<Layers, Problem> {
    let (mut layers, mut unknown) = (Layers::new(), Vec::new());
    for name in store.names() {
        let (part, module, role) = match keys::parse(name) {
            Key::Lora { part, module, role } => (part, module, role),
            Key::Other(kind) => {
                let problem =
                    format!("{name} is of {kind}, which is not built: LoRA and LoCon are");
                return Err(Problem::File(problem));
            }
            Key::Unknown => {
                unknown.push(name);
                continue;
            }
        };
        let tensor = store.get(name)?;
        let tensor = tensor.map(|t| t.f_to_kind(Kind::Float)).transpose();
        let tensor = tensor.map_err(tweedie_torch::Error::from)?;
        if let Some(t) = &tensor
            && !all_finite(t)?
        {
            return Err(Problem::File(format!("{name} has a value that is infinite or no number")));
        }
        let found = layers.entry((part, module)).or_default();
        let place = match role {
            Role::Down => &mut found.down,
            Role::Up => &mut found.up,
            Role::Alpha => &mut found.alpha,
        };
        if place.is_some() {
            return Err(Problem::File(format!("{name} is there a second time in another style")));
        }
        *place = tensor;
    }
    match unknown.is_empty() {
        true => Ok(layers),
        false => Err(Problem::File(some_of("tensors are of no LoRA that is known", &unknown))),
    }
}

/// `12 of its tensors are … (a, b, c, …)`.
fn some_of(what: &str, names: &[impl AsRef<str>]) -> String {
    let first: Vec<&str> = names.iter().take(3).map(AsRef::as_ref).collect();
    let more = if names.len() > first.len() { ", …" } else { "" };
    format!("{} of its {what} ({}{more})", names.len(), first.join(", "))
}

impl Found {
    fn layer(self, part: Part, module: String, metadata: &Metadata) -> Result<Layer, Problem> {
        let lacks =
            |what: &str| Problem::File(format!("{module} of the {part} has no {what} factor"));
        let down = self.down.ok_or_else(|| lacks("down"))?;
        let up = self.up.ok_or_else(|| lacks("up"))?;
        let fits = match (down.size()[..].split_first(), &up.size()[..]) {
            (Some((&rank, [_, ..])), [_, r, ones @ ..]) => {
                rank > 0 && *r == rank && ones.iter().all(|&n| n == 1)
            }
            _ => false,
        };
        if !fits {
            let (down, up) = (down.size(), up.size());
            let problem = format!(
                "{module} of the {part} is {up:?} times {down:?}, expected [out, rank] times [rank, in]"
            );
            return Err(Problem::File(problem));
        }
        let rank = down.size().first().copied().unwrap_or(1);
        let alpha = match self.alpha {
            Some(t) if t.numel() == 1 => f64::try_from(t).map_err(tweedie_torch::Error::from)?,
            Some(t) => {
                let problem =
                    format!("{module} has an alpha of shape {:?}, expected one number", t.size());
                return Err(Problem::File(problem));
            }
            None => metadata.alpha(part, &module, rank),
        };
        Ok(Layer { part, module, down, up, alpha })
    }
}

#[cfg(test)]
mod tests;
