//! Tensors of one or several files by name, none of which is read before it is asked for.
#![allow(unsafe_code)]

use super::header::{broken, parse};
use super::read::{known_kind, map};
use crate::low_rank::LowRank;
use crate::{Error, Result, tensor};
use memmap2::MmapMut;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::{Kind, Tensor};

/// Tensors by name, still in their files: what is asked for lies in the map and is not copied.
///
/// A tensor may be written to: the map is private, so the file does not change.
#[derive(Debug, Default)]
pub struct Store {
    entries: BTreeMap<String, Entry>,
    paths: Vec<PathBuf>,
    metadata: BTreeMap<String, String>,
    low_rank: BTreeMap<String, Vec<LowRank>>,
}

#[derive(Debug)]
enum Entry {
    Mapped(Arc<Region>),
    Loaded(Tensor),
}

/// A tensor's part of a map.
#[derive(Debug)]
struct Region {
    map: Arc<MmapMut>,
    bytes: Range<usize>,
    shape: Vec<i64>,
    kind: Kind,
}

impl Drop for Region {
    /// Whoever used the tensor is done with it: its pages no longer count as this process's memory.
    fn drop(&mut self) {
        const PAGE: usize = 4096;
        // Whole pages only: at both ends lie parts of other tensors.
        let from = self.bytes.start.next_multiple_of(PAGE);
        let length = (self.bytes.end / PAGE * PAGE).saturating_sub(from);
        let advice = memmap2::UncheckedAdvice::DontNeed;
        // SAFETY: nobody else has these bytes; at most they are read from the file again.
        let _ = unsafe { self.map.unchecked_advise_range(advice, from, length) };
    }
}

impl Store {
    /// The tensors of a safetensors file.
    ///
    /// # Errors
    /// If the file cannot be read, is no whole safetensors file, or has a kind that libtorch has not.
    pub fn open(path: &Path) -> Result<Self> {
        let map = map(path)?;
        let (file, header) = parse(path, &map)?;
        let start = map.as_ptr() as usize;
        let mut found = Vec::new();
        for (name, view) in file.iter() {
            let kind = known_kind(path, name, view.dtype())?;
            let from = view.data().as_ptr() as usize - start;
            let shape: Vec<i64> = view.shape().iter().map(|&s| s as i64).collect();
            found.push((name.to_owned(), from..from + view.data().len(), shape, kind));
        }
        let map = Arc::new(map);
        let entry = |(name, bytes, shape, kind)| {
            let map = Arc::clone(&map);
            (name, Entry::Mapped(Arc::new(Region { map, bytes, shape, kind })))
        };
        Ok(Store {
            entries: found.into_iter().map(entry).collect(),
            paths: vec![path.to_path_buf()],
            metadata: header.metadata,
            low_rank: BTreeMap::new(),
        })
    }

    /// The tensors of several files, such as the shards of one model.
    ///
    /// # Errors
    /// As [`open`](Self::open), and if two files have a tensor of the same name.
    pub fn open_all<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self> {
        let mut all = Store::default();
        for path in paths {
            let path = path.as_ref();
            let one = Store::open(path)?;
            if let Some(name) = one.entries.keys().find(|name| all.entries.contains_key(*name)) {
                return Err(broken(path, format!("tensor {name} is in another shard as well")));
            }
            all.entries.extend(one.entries);
            all.paths.extend(one.paths);
            all.metadata.extend(one.metadata);
        }
        Ok(all)
    }

    /// The files.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The files' own notes.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// All names, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Shape and kind of a tensor.
    pub fn info(&self, name: &str) -> Option<(Vec<i64>, Kind)> {
        Some(match self.entries.get(name)? {
            Entry::Mapped(region) => (region.shape.clone(), region.kind),
            Entry::Loaded(t) => (t.size(), t.kind()),
        })
    }

    /// The tensor of that name, if there is one.
    ///
    /// # Errors
    /// If libtorch refuses.
    pub fn get(&self, name: &str) -> Result<Option<Tensor>> {
        match self.entries.get(name) {
            None => Ok(None),
            Some(Entry::Loaded(t)) => Ok(Some(t.shallow_clone())),
            Some(Entry::Mapped(region)) => mapped(region).map(Some),
        }
    }

    /// Puts a tensor in, in place of one of that name if there is one.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.entries.insert(name.into(), Entry::Loaded(tensor));
    }

    /// Takes a tensor out: its memory is free, or its part of the map no longer this process's, once
    /// the last of it is dropped.
    ///
    /// # Errors
    /// If libtorch refuses.
    pub fn remove(&mut self, name: &str) -> Result<Option<Tensor>> {
        let tensor = self.get(name)?;
        self.entries.remove(name);
        Ok(tensor)
    }

    /// Lays a term beside the weight of that name, for the layer that will have it
    /// ([`frozen`](crate::frozen)).
    pub fn lay_beside(&mut self, name: impl Into<String>, term: LowRank) {
        self.low_rank.entry(name.into()).or_default().push(term);
    }

    /// Takes out what lies beside a weight.
    pub(crate) fn remove_beside(&mut self, name: &str) -> Vec<LowRank> {
        self.low_rank.remove(name).unwrap_or_default()
    }

    /// The weights that something lies beside.
    pub(crate) fn names_beside(&self) -> impl Iterator<Item = &str> {
        self.low_rank.keys().map(String::as_str)
    }

    /// The same tensors under other names; those without one are left out.
    ///
    /// # Errors
    /// If two would have the same name.
    pub fn renamed(self, name: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut entries = BTreeMap::new();
        for (old, entry) in self.entries {
            let Some(new) = name(&old) else { continue };
            if entries.insert(new.clone(), entry).is_some() {
                return Err(Error::invalid("a tensor's new name", new, "one that is not taken"));
            }
        }
        let mut low_rank: BTreeMap<String, Vec<LowRank>> = BTreeMap::new();
        for (old, terms) in self.low_rank {
            low_rank.entry(name(&old).unwrap_or(old)).or_default().extend(terms);
        }
        Ok(Store { entries, low_rank, ..self })
    }

    /// The number of numbers.
    pub fn count(&self) -> u64 {
        let numbers = |entry: &Entry| match entry {
            Entry::Mapped(region) => region.shape.iter().product::<i64>() as u64,
            Entry::Loaded(t) => t.numel() as u64,
        };
        self.entries.values().map(numbers).sum()
    }

    /// Ten hexadecimal digits of SHA-256 over names, shapes and the first numbers of each tensor: tells
    /// models apart without reading gigabytes.
    ///
    /// # Errors
    /// If libtorch refuses.
    pub fn fingerprint(&self) -> Result<String> {
        const FIRST: i64 = 256;
        let mut hash = Sha256::new();
        for name in self.entries.keys() {
            let Some(t) = self.get(name)? else { continue };
            hash.update(format!("{name} {:?} {:?};", t.size(), t.kind()));
            let first = t.f_flatten(0, -1)?.f_narrow(0, 0, FIRST.min(t.numel() as i64))?;
            hash.update(tensor::to_bytes(&first)?);
        }
        Ok(hash.finalize().iter().take(5).map(|byte| format!("{byte:02x}")).collect())
    }
}

fn mapped(region: &Arc<Region>) -> Result<Tensor> {
    let Region { map, bytes, shape, kind } = &**region;
    let data = &map[bytes.clone()];
    let aligned = (data.as_ptr() as usize).is_multiple_of(kind.elt_size_in_bytes());
    if *kind == Kind::Bool || !aligned || data.is_empty() {
        return tensor::from_bytes(data, shape, *kind);
    }
    // SAFETY: aligned memory of as many bytes as shape and kind need (the header was checked), which
    // the region keeps mapped as long as the tensor has it. The map is private and writable.
    unsafe { tensor::from_memory(data.as_ptr().cast_mut(), shape, *kind, Arc::clone(region)) }
}
