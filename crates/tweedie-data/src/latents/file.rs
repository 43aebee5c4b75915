//! One shard on disk.

use crate::{Error, Result};
use serde::Deserialize;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tch::Kind;
use tweedie_torch::weights;

pub(super) const LATENTS: &str = "latents";
pub(super) const LATENTS_FLIP: &str = "latents_flip";
pub(super) const LABELS: &str = "labels";

/// Where a tensor is in a file.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) shape: Vec<i64>,
    pub(super) kind: Kind,
    /// From the beginning of the file, in bytes.
    offset: u64,
}

/// A shard, open.
#[derive(Debug)]
pub(super) struct ShardFile {
    pub(super) path: PathBuf,
    pub(super) latents: Field,
    pub(super) flipped: Option<Field>,
    pub(super) labels: Option<Vec<i64>>,
    file: Mutex<File>,
}

impl ShardFile {
    /// Reads and checks the header, and reads the labels.
    pub(super) fn open(path: &Path) -> Result<Self> {
        // The whole of the header is checked against the file, and a guess made what else it is.
        let header = weights::header(path)?;
        let mut file = File::open(path).map_err(Error::file(path))?;
        let fields = Fields::read(path, &mut file)?;
        let Some(latents) = fields.get(LATENTS)? else {
            let names: Vec<&str> = header.tensors.iter().map(|t| &*t.name).collect();
            let problem = format!("no tensor {LATENTS}; it has {}", names.join(", "));
            return Err(Error::broken(path, problem));
        };
        latents.check(path, LATENTS)?;
        let flipped = fields.get(LATENTS_FLIP)?;
        if let Some(f) = &flipped
            && (f.shape != latents.shape || f.kind != latents.kind)
        {
            let problem = format!(
                "{LATENTS_FLIP} is {:?} {:?}, expected {:?} {:?} as {LATENTS}",
                f.kind, f.shape, latents.kind, latents.shape
            );
            return Err(Error::broken(path, problem));
        }
        let labels = fields.get(LABELS)?;
        let shard = ShardFile {
            path: path.to_path_buf(),
            latents,
            flipped,
            labels: None,
            file: file.into(),
        };
        let labels = labels.map(|field| shard.read_labels(&field)).transpose()?;
        Ok(ShardFile { labels, ..shard })
    }

    /// The bytes of one row of a field; `to` has room for just that.
    pub(super) fn read(&self, field: &Field, row: usize, to: &mut [u8]) -> Result<()> {
        let offset = field.offset + (row * to.len()) as u64;
        // A position is set before every read: whoever held the file before does not matter.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(to));
        read.map_err(Error::file(&self.path))
    }

    fn read_labels(&self, field: &Field) -> Result<Vec<i64>> {
        let n = self.latents.shape[0];
        if field.kind != Kind::Int64 || field.shape != [n] {
            let (kind, shape) = (field.kind, &field.shape);
            let problem = format!("{LABELS} is {kind:?} {shape:?}, expected Int64 [{n}]");
            return Err(Error::broken(&self.path, problem));
        }
        // The header was checked: the file is as long as this.
        let mut bytes = vec![0; 8 * n as usize];
        self.read(field, 0, &mut bytes)?;
        let labels: Vec<i64> = bytes.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b)).collect();
        match labels.iter().position(|&label| !(0..LARGEST_LABEL).contains(&label)) {
            Some(i) => {
                let (found, last) = (labels[i], LARGEST_LABEL - 1);
                let problem = format!("{LABELS}[{i}] is {found}, expected 0 to {last}");
                Err(Error::broken(&self.path, problem))
            }
            None => Ok(labels),
        }
    }
}

/// More classes than this are no classes.
const LARGEST_LABEL: i64 = 1 << 31;

impl Field {
    fn check(&self, path: &Path, name: &str) -> Result<()> {
        let float = matches!(self.kind, Kind::Float | Kind::Half | Kind::BFloat16);
        if self.shape.len() == 4 && !self.shape.contains(&0) && float {
            return Ok(());
        }
        let (kind, shape) = (self.kind, &self.shape);
        let problem = format!(
            "{name} is {kind:?} {shape:?}, expected f32, f16 or bf16 [n, channels, height, width]"
        );
        Err(Error::broken(path, problem))
    }
}

/// The header of a file that was checked.
struct Fields<'a> {
    path: &'a Path,
    entries: serde_json::Map<String, serde_json::Value>,
    /// Where the numbers begin.
    start: u64,
}

/// What the header says of a tensor.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<i64>,
    data_offsets: (u64, u64),
}

impl<'a> Fields<'a> {
    fn read(path: &'a Path, file: &mut File) -> Result<Self> {
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(Error::file(path))?;
        let n = u64::from_le_bytes(length);
        let mut json = vec![];
        file.take(n).read_to_end(&mut json).map_err(Error::file(path))?;
        let entries = serde_json::from_slice(&json)
            .map_err(|e| Error::broken(path, format!("its header cannot be read: {e}")))?;
        Ok(Fields { path, entries, start: 8 + n })
    }

    fn get(&self, name: &str) -> Result<Option<Field>> {
        let Some(entry) = self.entries.get(name) else { return Ok(None) };
        let Entry { dtype, shape, data_offsets: (from, _) } = Entry::deserialize(entry)
            .map_err(|e| Error::broken(self.path, format!("the header of {name}: {e}")))?;
        let kind = match &*dtype {
            "F32" => Kind::Float,
            "F16" => Kind::Half,
            "BF16" => Kind::BFloat16,
            "I64" => Kind::Int64,
            other => {
                let problem = format!("{name} is {other}, expected F32, F16, BF16 or I64");
                return Err(Error::broken(self.path, problem));
            }
        };
        Ok(Some(Field { shape, kind, offset: self.start + from }))
    }
}
