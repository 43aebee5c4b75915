//! Reading: headers first, then one tensor at a time out of the map.
#![allow(unsafe_code)]

use super::{StateDict, to_kind};
use crate::{Error, Result, tensor};
use memmap2::Mmap;
use safetensors::SafeTensors;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
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
    /// Its kind, as safetensors calls it.
    pub kind: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Its size in the file.
    pub bytes: usize,
}

/// Reads what a file holds without touching the numbers.
pub fn header(path: &Path) -> Result<Header> {
    let map = map(path)?;
    let (file, metadata) = parse(path, &map)?;
    let mut tensors: Vec<TensorInfo> = file
        .iter()
        .map(|(name, view)| TensorInfo {
            name: name.to_owned(),
            kind: format!("{:?}", view.dtype()),
            shape: view.shape().iter().map(|&s| s as i64).collect(),
            bytes: view.data().len(),
        })
        .collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Header { tensors, metadata })
}

/// Loads every tensor of a file onto `device`.
pub fn load(path: &Path, policy: KindPolicy, device: Device) -> Result<StateDict> {
    let map = map(path)?;
    let (file, _) = parse(path, &map)?;
    let mut dict = StateDict::new();
    for (name, view) in file.iter() {
        let kind = to_kind(view.dtype()).ok_or_else(|| {
            broken(
                path,
                format!("tensor {name} has kind {:?}, which is not supported", view.dtype()),
            )
        })?;
        let shape: Vec<i64> = view.shape().iter().map(|&s| s as i64).collect();
        let t = tensor::from_bytes(view.data(), &shape, kind)?;
        let kind = match policy {
            KindPolicy::Cast(to) if t.is_floating_point() => to,
            _ => kind,
        };
        dict.insert(name.to_owned(), t.f_to_device(device)?.f_to_kind(kind)?);
    }
    Ok(dict)
}

fn broken(path: &Path, problem: impl Into<String>) -> Error {
    Error::Broken { path: path.to_path_buf(), problem: problem.into() }
}

fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(Error::file(path))?;
    let meta = file.metadata().map_err(Error::file(path))?;
    if !meta.is_file() {
        return Err(broken(path, "it is not a file"));
    }
    if meta.len() < 8 {
        return Err(broken(path, format!("it has {} bytes: empty or cut off", meta.len())));
    }
    // SAFETY: the map is read only. As with every map, whoever truncates the file while it is
    // read takes this process down; weights are replaced by renaming, which leaves maps alone.
    unsafe { Mmap::map(&file) }.map_err(Error::file(path))
}

fn parse<'m>(path: &Path, bytes: &'m [u8]) -> Result<(SafeTensors<'m>, BTreeMap<String, String>)> {
    check_start(path, bytes)?;
    let (header_len, meta) =
        SafeTensors::read_metadata(bytes).map_err(|e| explain(path, bytes, &e.to_string()))?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| explain(path, bytes, &e.to_string()))?;
    check_names(path, &bytes[8..8 + header_len])?;
    Ok((file, notes(meta.metadata().clone().unwrap_or_default())))
}

/// The file's notes, ours unpacked from the one entry that [`save`](super::save) puts them in.
fn notes(mut entries: HashMap<String, String>) -> BTreeMap<String, String> {
    let ours = entries.remove("tweedie").and_then(|json| serde_json::from_str(&json).ok());
    let ours: BTreeMap<String, String> = ours.unwrap_or_default();
    entries.into_iter().chain(ours).collect()
}

/// Recognises what people take for safetensors files.
fn check_start(path: &Path, bytes: &[u8]) -> Result<()> {
    let starts = |with: &[u8]| bytes.starts_with(with);
    if starts(b"version https://git-lfs") {
        return Err(broken(
            path,
            "it is a git-lfs pointer: fetch the real file with `git lfs pull`",
        ));
    }
    if starts(b"<")
        || bytes[..bytes.len().min(512)].windows(5).any(|w| w.eq_ignore_ascii_case(b"<html"))
    {
        return Err(broken(path, "it is a web page: the download went wrong"));
    }
    if starts(b"PK\x03\x04") || starts(b"\x80\x02") || starts(b"\x80\x04") {
        return Err(broken(
            path,
            "it is a pickle or zip of PyTorch, which can run code and is never read: \
             convert it with safetensors.torch.save_file(torch.load(f, weights_only=True), out)",
        ));
    }
    let mut first = [0; 8];
    (&bytes[..8]).read_exact(&mut first).map_err(Error::file(path))?;
    let header = u64::from_le_bytes(first);
    match usize::try_from(header).ok().and_then(|h| h.checked_add(8)) {
        Some(end) if end <= bytes.len() => Ok(()),
        _ if header > 1 << 40 => Err(broken(path, "it begins like no such file")),
        _ => {
            let problem =
                format!("its header needs {header} bytes, the file has {}: cut off", bytes.len());
            Err(broken(path, problem))
        }
    }
}

/// The parser's message, with the sizes when the file ends too early.
fn explain(path: &Path, bytes: &[u8], message: &str) -> Error {
    let problem = if message.contains("IncompleteBuffer") || message.contains("incomplete") {
        format!(
            "its tensors do not end where the file does, at {} bytes: cut off, or more behind it",
            bytes.len()
        )
    } else {
        message.to_owned()
    };
    broken(path, problem)
}

/// JSON allows a name twice and keeps the last: refuse it.
fn check_names(path: &Path, header: &[u8]) -> Result<()> {
    struct Names(Vec<String>);
    impl<'de> serde::de::Visitor<'de> for Names {
        type Value = Vec<String>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a map of tensors")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(
            mut self,
            mut map: A,
        ) -> Result<Vec<String>, A::Error> {
            while let Some((name, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                self.0.push(name);
            }
            Ok(self.0)
        }
    }
    let mut json = serde_json::Deserializer::from_slice(header);
    let names = serde::Deserializer::deserialize_map(&mut json, Names(vec![]));
    let mut names = names.map_err(|e| broken(path, e.to_string()))?;
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(broken(path, format!("it names tensor {} twice", pair[0]))),
        None => Ok(()),
    }
}
