//! Reading: headers first, then one tensor at a time out of the map.
#![allow(unsafe_code)]

use super::header::{Header, broken, parse};
use super::{StateDict, to_kind};
use crate::{Error, Result, tensor};
use memmap2::{MmapMut, MmapOptions};
use safetensors::Dtype;
use std::fs::File;
use std::path::Path;
use tch::{Device, Kind};

/// In which kind tensors are loaded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KindPolicy {
    /// As the file has them.
    Keep,
    /// Floating-point tensors in this kind; integers stay integers.
    Cast(Kind),
}

/// Reads what a file holds without touching the numbers.
///
/// # Errors
/// If the file cannot be read, or is no whole safetensors file: then with a guess what it is.
pub fn header(path: &Path) -> Result<Header> {
    Ok(parse(path, &map(path)?)?.1)
}

/// Loads every tensor of a file onto `device`, one at a time: no more memory is taken than the
/// tensors have.
///
/// # Errors
/// As [`header`], or if a tensor has a kind that libtorch has not.
pub fn load(path: &Path, policy: KindPolicy, device: Device) -> Result<StateDict> {
    let map = map(path)?;
    let (file, _) = parse(path, &map)?;
    let mut dict = StateDict::new();
    for (name, view) in file.iter() {
        let kind = known_kind(path, name, view.dtype())?;
        let shape: Vec<i64> = view.shape().iter().map(|&s| s as i64).collect();
        let t = tensor::from_bytes(view.data(), &shape, kind)?;
        let kind = match policy {
            KindPolicy::Cast(to) if t.is_floating_point() => to,
            _ => kind,
        };
        dict.insert(name.to_owned(), t.f_to_kind(kind)?.f_to_device(device)?);
    }
    Ok(dict)
}

/// The kind of a tensor, if it is one that libtorch has.
pub(super) fn known_kind(path: &Path, name: &str, dtype: Dtype) -> Result<Kind> {
    let problem = || format!("tensor {name} has kind {dtype}, which libtorch has not");
    to_kind(dtype).ok_or_else(|| broken(path, problem()))
}

/// A private map of a whole file: what is written to it stays in this process.
pub(super) fn map(path: &Path) -> Result<MmapMut> {
    let file = File::open(path).map_err(Error::file(path))?;
    let meta = file.metadata().map_err(Error::file(path))?;
    if !meta.is_file() {
        return Err(broken(path, "it is not a file"));
    }
    // An empty file cannot be mapped on every system.
    if meta.len() == 0 {
        return Err(broken(path, "it has 0 bytes: empty or cut off"));
    }
    // SAFETY: as with every map, whoever truncates the file while it is read takes this process
    // down; weights are replaced by renaming, which leaves maps alone.
    unsafe { MmapOptions::new().map_copy(&file) }.map_err(Error::file(path))
}
