//! Named tensors on disk: safetensors, never pickle.
//!
//! - [`Store`] leaves tensors in the files until they are asked for, and then in the map.
//! - [`load`] maps the file and makes one tensor at a time, in the file's kind or in another.
//! - [`save`] writes sorted names, so equal tensors give equal bytes, and the file appears whole
//!   or not at all.
//! - [`load_into`] wants exactly the names and shapes of the parameters and says what differs.

mod guess;
mod header;
mod read;
mod store;
mod write;

pub use header::{Header, TensorInfo};
pub use read::{KindPolicy, header, load};
pub use store::Store;
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
    /// Whole numbers where others belong, or the other way round: name, expected and found kind.
    pub mistyped: Vec<(String, Kind, Kind)>,
    /// Tensors with a value that is infinite or no number.
    pub not_finite: Vec<String>,
}

impl Mismatch {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Mismatch::default()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        match *self == (Mismatch { not_finite: self.not_finite.clone(), ..Mismatch::default() }) {
            true => write!(f, "the weights are damaged:")?,
            false => write!(f, "the weights are for another model:")?,
        }
        let named = |names: &[String]| names.to_vec();
        let shapes = self.misshapen.iter();
        let kinds = self.mistyped.iter();
        let lists = [
            ("missing", named(&self.missing)),
            ("unexpected", named(&self.unexpected)),
            (
                "of another shape",
                shapes.map(|(n, e, s)| format!("{n} is {s:?}, expected {e:?}")).collect(),
            ),
            (
                "of another kind",
                kinds.map(|(n, e, k)| format!("{n} is {k:?}, expected {e:?}")).collect(),
            ),
            ("not finite", named(&self.not_finite)),
        ];
        let lists = lists.iter().filter(|(_, names)| !names.is_empty());
        for (i, (what, names)) in lists.enumerate() {
            let shown = names[..names.len().min(SHOWN)].join(", ");
            let more = if names.len() > SHOWN { ", …" } else { "" };
            let and = if i > 0 { ";" } else { "" };
            write!(f, "{and} {} {what} ({shown}{more})", names.len())?;
        }
        Ok(())
    }
}

/// Copies the values of `dict` into `params`, in the parameters' own kinds.
///
/// # Errors
/// Unless these are exactly the names and shapes, all values are finite, and whole numbers stand
/// where whole numbers belong. Nothing is changed then.
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
            Some(t) if t.is_floating_point() != param.is_floating_point() => {
                mismatch.mistyped.push(((*name).to_owned(), param.kind(), t.kind()));
            }
            Some(t) if !crate::tensor::all_finite(t)? => {
                mismatch.not_finite.push((*name).to_owned());
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
const KINDS: [(Kind, Dtype); 12] = [
    (Kind::Float, Dtype::F32),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Double, Dtype::F64),
    (Kind::Int64, Dtype::I64),
    (Kind::Int, Dtype::I32),
    (Kind::Int16, Dtype::I16),
    (Kind::Float8e4m3fn, Dtype::F8_E4M3),
    (Kind::Float8e5m2, Dtype::F8_E5M2),
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
