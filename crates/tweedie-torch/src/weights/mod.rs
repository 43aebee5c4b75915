//! Named tensors on disk: safetensors, never pickle.
//!
//! - [`load`] maps the file and makes one tensor at a time, in the file's kind or in another.
//! - [`save`] writes sorted names, so equal tensors give equal bytes, and the file appears whole
//!   or not at all.
//! - [`load_into`] wants exactly the names and shapes of the parameters and says what differs.

mod read;
mod write;

pub use read::{Header, KindPolicy, TensorInfo, header, load};
pub use write::{atomically, save};

use crate::{Error, Result};
use safetensors::Dtype;
use std::collections::BTreeMap;
use std::fmt;
use tch::{Kind, Tensor};

/// Tensors by name, sorted.
pub type StateDict = BTreeMap<String, Tensor>;

/// What differs between a state dict and the parameters it is for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Parameters that are not in the state dict.
    pub missing: Vec<String>,
    /// Tensors that no parameter has the name of.
    pub unexpected: Vec<String>,
    /// Name, expected and found shape.
    pub misshapen: Vec<(String, Vec<i64>, Vec<i64>)>,
}

impl Mismatch {
    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshapen.is_empty()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        write!(f, "the weights are for another model:")?;
        let mut list = |what: &str, names: Vec<String>| {
            if names.is_empty() {
                return Ok(());
            }
            let more = if names.len() > SHOWN { ", …" } else { "" };
            write!(
                f,
                " {} {what} ({}{more});",
                names.len(),
                names[..names.len().min(SHOWN)].join(", ")
            )
        };
        list("missing", self.missing.clone())?;
        list("unexpected", self.unexpected.clone())?;
        let shapes = self.misshapen.iter();
        list(
            "of another shape",
            shapes.map(|(n, e, s)| format!("{n} is {s:?}, expected {e:?}")).collect(),
        )
    }
}

/// Copies the values of `dict` into `params`: exactly these names and shapes, in the parameters'
/// own kinds. Nothing is changed unless everything fits.
pub fn load_into<'a>(
    params: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    dict: &StateDict,
) -> Result<()> {
    let params: Vec<_> = params.into_iter().collect();
    let mut mismatch = Mismatch::default();
    for (name, param) in &params {
        match dict.get(*name) {
            None => mismatch.missing.push((*name).to_owned()),
            Some(t) if t.size() != param.size() => {
                mismatch.misshapen.push(((*name).to_owned(), param.size(), t.size()));
            }
            Some(_) => {}
        }
    }
    let known: std::collections::HashSet<_> = params.iter().map(|(name, _)| *name).collect();
    mismatch.unexpected = dict.keys().filter(|k| !known.contains(k.as_str())).cloned().collect();
    if !mismatch.is_empty() {
        return Err(Error::Mismatch(Box::new(mismatch)));
    }
    let _guard = tch::no_grad_guard();
    for (name, param) in params {
        param.shallow_clone().f_copy_(&dict[name])?;
    }
    Ok(())
}

/// The kinds that both sides know.
const KINDS: [(Kind, Dtype); 9] = [
    (Kind::Float, Dtype::F32),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Double, Dtype::F64),
    (Kind::Int64, Dtype::I64),
    (Kind::Int, Dtype::I32),
    (Kind::Uint8, Dtype::U8),
    (Kind::Int8, Dtype::I8),
    (Kind::Bool, Dtype::BOOL),
];

fn to_dtype(kind: Kind) -> Result<Dtype> {
    let found = KINDS.iter().find(|(k, _)| *k == kind).map(|(_, d)| *d);
    found.ok_or_else(|| {
        Error::invalid(
            "the kind of a tensor to save",
            format!("{kind:?}"),
            "one that safetensors has",
        )
    })
}

fn to_kind(dtype: Dtype) -> Option<Kind> {
    KINDS.iter().find(|(_, d)| *d == dtype).map(|(k, _)| *k)
}

#[cfg(test)]
mod tests;
