//! The first part of a safetensors file: eight bytes of length, then JSON that names the tensors.
//! Everything it claims is checked against the file before anything is made of it.

use crate::{Error, Result};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, MapAccess, Visitor};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Every tensor, sorted by name.
    pub tensors: Vec<TensorInfo>,
    /// The file's own notes.
    pub metadata: BTreeMap<String, String>,
}

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Its kind, as safetensors calls it: `F32`, `BF16`, `I64` …
    pub kind: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Its size in the file.
    pub bytes: usize,
}

/// The tensors and notes of a file, or why it is none.
pub(super) fn parse<'m>(path: &Path, bytes: &'m [u8]) -> Result<(SafeTensors<'m>, Header)> {
    let whole = || -> Result<_, String> {
        let (json, data) = split(bytes)?;
        let entries = read_json(json)?;
        let mut tensors = check(&entries.tensors, data.len())?;
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        // The library has the last word: it may know rules that are not ours.
        let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        Ok((file, Header { tensors, metadata: entries.metadata }))
    };
    whole().map_err(|problem| broken(path, problem))
}

pub(super) fn broken(path: &Path, problem: impl Into<String>) -> Error {
    Error::Broken { path: path.to_path_buf(), problem: problem.into() }
}

/// The header's JSON and what follows it.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(format!("it has {} bytes: empty or cut off", bytes.len()));
    };
    let length = u64::from_le_bytes(*length);
    let begins_well = rest.first().is_some_and(|&b| b == b'{');
    if let Some(guess) = (!begins_well).then(|| super::guess::what_it_is(bytes)).flatten() {
        return Err(guess.to_owned());
    }
    match usize::try_from(length).ok().and_then(|n| rest.split_at_checked(n)) {
        Some(([], _)) => Err("its header is empty: nothing was written into it".to_owned()),
        Some((json, data)) => Ok((json, data)),
        None if begins_well && length < 1 << 32 => Err(format!(
            "its header takes {length} bytes, the whole file has {}: cut off, perhaps by an \
             interrupted download",
            bytes.len()
        )),
        None => Err(format!(
            "it claims a header of {length} bytes, the whole file has {}: cut off, or another \
             format",
            bytes.len()
        )),
    }
}

/// A tensor's entry as the JSON has it.
#[derive(Debug, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<i64>,
    data_offsets: (u64, u64),
}

#[derive(Debug, Default)]
struct Entries {
    tensors: Vec<(String, Entry)>,
    metadata: BTreeMap<String, String>,
}

fn read_json(json: &[u8]) -> Result<Entries, String> {
    let mut json = serde_json::Deserializer::from_slice(json);
    let entries = Map.deserialize(&mut json).and_then(|entries| {
        json.end()?;
        Ok(entries)
    });
    entries.map_err(|e| format!("its header cannot be read: {e}"))
}

/// Reads the map without losing a name that comes twice, of which JSON keeps the last.
struct Map;

impl<'de> DeserializeSeed<'de> for Map {
    type Value = Entries;
    fn deserialize<D: de::Deserializer<'de>>(self, d: D) -> Result<Entries, D::Error> {
        d.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Map {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries = Entries::default();
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                return Err(de::Error::custom(format!("it names {name} twice")));
            }
            let within = |e: A::Error| de::Error::custom(format!("{name}: {e}"));
            if name == "__metadata__" {
                entries.metadata = map.next_value().map_err(within)?;
            } else {
                let entry = map.next_value().map_err(within)?;
                entries.tensors.push((name, entry));
            }
        }
        Ok(entries)
    }
}

/// Sees that the tensors fill the data without gap or overlap.
fn check(entries: &[(String, Entry)], data: usize) -> Result<Vec<TensorInfo>, String> {
    let mut infos = Vec::with_capacity(entries.len());
    for (name, entry) in entries {
        infos.push(check_one(name, entry)?);
    }
    let mut order: Vec<_> = entries.iter().map(|(name, e)| (e.data_offsets, name)).collect();
    order.sort_unstable();
    let mut end = 0;
    for ((from, to), name) in order {
        match from {
            _ if from < end => {
                return Err(format!("tensor {name} begins at byte {from}, within another one"));
            }
            _ if from > end => {
                return Err(format!("nothing owns the bytes {end} to {from}, before {name}"));
            }
            _ => end = to,
        }
    }
    match (end, data as u64) {
        (end, data) if end > data => Err(format!(
            "its tensors need {end} bytes, {data} are there: cut off, perhaps by an interrupted \
             download or a full disk"
        )),
        (end, data) if end < data => Err(format!(
            "{} bytes follow its last tensor: two files in one, or one written over a longer one",
            data - end
        )),
        _ => Ok(infos),
    }
}

/// Sees that kind, shape and place of a tensor agree.
fn check_one(name: &str, entry: &Entry) -> Result<TensorInfo, String> {
    let Entry { dtype, shape, data_offsets: (from, to) } = entry;
    let known = Dtype::deserialize(de::value::StrDeserializer::<de::value::Error>::new(dtype));
    let bits = known
        .map_err(|_| format!("tensor {name} has kind {dtype}, which safetensors does not know"))?
        .bitsize() as u64;
    let product = shape.iter().try_fold(1_u64, |n, &s| n.checked_mul(u64::try_from(s).ok()?));
    let Some(needs) = product.and_then(|n| n.checked_mul(bits)).map(|bits| bits.div_ceil(8)) else {
        return Err(format!("tensor {name} has shape {shape:?}, which no memory can hold"));
    };
    match to.checked_sub(*from) {
        Some(has) if has == needs => Ok(TensorInfo {
            name: name.to_owned(),
            kind: dtype.clone(),
            shape: shape.clone(),
            bytes: needs as usize,
        }),
        Some(has) => Err(format!(
            "tensor {name} of shape {shape:?} and kind {dtype} needs {needs} bytes and has {has}"
        )),
        None => Err(format!("tensor {name} ends at byte {to}, before it begins at {from}")),
    }
}
