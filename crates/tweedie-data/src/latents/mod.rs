//! Latents that were computed before: safetensors shards, read batch by batch.
//!
//! A shard holds `latents` `[n, channels, height, width]` (f32, f16 or bf16), perhaps `labels`
//! `[n]` (i64), and perhaps `latents_flip`, the latents of the mirrored images. (These are
//! LightningDiT's names, arXiv:2501.01423.) A set is one file or a folder of them, in the order of
//! their names; files called `…-00001-of-00003.safetensors` must all be there.
//!
//! [`Shard::save`] writes them.

mod file;
mod write;

pub use write::Shard;

use crate::source::check_rows;
use crate::{Batch, Error, Result, Source};
use file::{Field, LATENTS, LATENTS_FLIP, ShardFile};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::Kind;
use tweedie_torch::tensor;

/// What latents are made into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentConfig {
    /// What is taken away first (`shift_factor` of an autoencoder's settings).
    pub shift: f64,
    /// What is multiplied with then (`scaling_factor`; 0.18215 for Stable Diffusion 1).
    pub scale: f64,
    /// Whether the latents of mirrored images are samples of their own, after all others.
    pub flip: bool,
}

impl Default for LatentConfig {
    /// As they are in the files.
    fn default() -> Self {
        LatentConfig { shift: 0.0, scale: 1.0, flip: false }
    }
}

/// The latents of a file or a folder: a [`Source`].
#[derive(Clone, Debug)]
pub struct Latents {
    inner: Arc<Inner>,
    config: LatentConfig,
}

#[derive(Debug)]
struct Inner {
    shards: Vec<ShardFile>,
    /// The number of samples before each shard, and of all.
    starts: Vec<usize>,
    shape: Vec<i64>,
    kind: Kind,
    labels: Option<Vec<i64>>,
}

impl Latents {
    /// Reads the headers and the labels of a file or a folder of files.
    ///
    /// # Errors
    /// If a file is missing or broken, they do not go together, or a setting makes no sense.
    pub fn open(path: &Path, config: LatentConfig) -> Result<Self> {
        if !config.shift.is_finite() {
            return Err(Error::invalid("shift", config.shift, "a finite number"));
        }
        if !config.scale.is_finite() || config.scale == 0.0 {
            return Err(Error::invalid("scale", config.scale, "a finite number that is not 0"));
        }
        let shards: Vec<ShardFile> =
            files(path)?.iter().map(|file| ShardFile::open(file)).collect::<Result<_>>()?;
        Ok(Latents { inner: Arc::new(Inner::new(shards, config.flip)?), config })
    }

    /// The rows of the samples and where they are: shard, row in it, and which field.
    fn place(&self, row: usize) -> (usize, usize, bool) {
        let n = self.inner.starts.last().copied().unwrap_or(0);
        let (row, flipped) = if row < n { (row, false) } else { (row - n, true) };
        let shard = self.inner.starts.partition_point(|&start| start <= row) - 1;
        (shard, row - self.inner.starts[shard], flipped)
    }

    fn field(&self, shard: usize, flipped: bool) -> &Field {
        let shard = &self.inner.shards[shard];
        // `open` made sure that a shard has the second if it is wanted.
        shard.flipped.as_ref().filter(|_| flipped).unwrap_or(&shard.latents)
    }
}

impl Inner {
    fn new(shards: Vec<ShardFile>, flip: bool) -> Result<Self> {
        let Some(first) = shards.first() else {
            return Err(Error::invalid("the shards", 0, "at least 1"));
        };
        let (shape, kind) = (first.latents.shape[1..].to_vec(), first.latents.kind);
        let (mut starts, mut labels) = (vec![0], first.labels.is_some().then(Vec::new));
        for shard in &shards {
            let (found, other) = (&shard.latents.shape[1..], shard.latents.kind);
            if found != shape || other != kind {
                let problem = format!(
                    "latents of {found:?} in {other:?}, expected {shape:?} in {kind:?} as in {}",
                    first.path.display()
                );
                return Err(Error::broken(&shard.path, problem));
            }
            if flip && shard.flipped.is_none() {
                let problem = format!("no {LATENTS_FLIP}, which flip asks for");
                return Err(Error::broken(&shard.path, problem));
            }
            match (&mut labels, &shard.labels) {
                (Some(all), Some(labels)) => all.extend_from_slice(labels),
                (None, None) => {}
                (all, _) => {
                    let (has, other) =
                        if all.is_some() { ("no", "has") } else { ("has", "has no") };
                    let problem = format!(
                        "{has} labels, but {} {other} labels: expected all or none",
                        first.path.display()
                    );
                    return Err(Error::broken(&shard.path, problem));
                }
            }
            starts.push(starts.last().copied().unwrap_or(0) + shard.latents.shape[0] as usize);
        }
        Ok(Inner { shards, starts, shape, kind, labels })
    }
}

impl Source for Latents {
    fn count(&self) -> usize {
        let n = self.inner.starts.last().copied().unwrap_or(0);
        if self.config.flip { 2 * n } else { n }
    }

    fn sample_shape(&self) -> Vec<i64> {
        self.inner.shape.clone()
    }

    fn classes(&self) -> Option<i64> {
        self.inner.labels.as_ref().map(|l| l.iter().max().map_or(0, |last| last + 1))
    }

    fn batch(&self, rows: &[i64]) -> Result<Batch> {
        check_rows(rows, self.count())?;
        let each = tensor::elements(&self.inner.shape)? * self.inner.kind.elt_size_in_bytes();
        let mut bytes = vec![0; rows.len() * each];
        let mut labels = vec![];
        for (to, &row) in bytes.chunks_exact_mut(each).zip(rows) {
            let (shard, at, flipped) = self.place(row as usize);
            self.inner.shards[shard].read(self.field(shard, flipped), at, to)?;
            let all = self.inner.labels.as_ref();
            labels.extend(all.map(|labels| labels[self.inner.starts[shard] + at]));
        }
        let n = rows.len() as i64;
        let shape = [&[n], &self.inner.shape[..]].concat();
        let x = tensor::from_bytes(&bytes, &shape, self.inner.kind)?.to_kind(Kind::Float);
        if !tensor::all_finite(&x)? {
            return Err(self.not_finite(rows, &tensor::to_f32(&x)?));
        }
        let x = (x - self.config.shift) * self.config.scale;
        let labels = self.inner.labels.is_some().then(|| tensor::from_i64(&labels, &[n]));
        Ok(Batch { x, labels: labels.transpose()? })
    }

    fn share(&self) -> Box<dyn Source> {
        Box::new(self.clone())
    }
}

impl Latents {
    /// Which of these rows is not finite.
    fn not_finite(&self, rows: &[i64], values: &[f32]) -> Error {
        let each = values.len() / rows.len().max(1);
        let samples = values.chunks_exact(each.max(1));
        let wrong = samples.zip(rows).find(|(x, _)| !x.iter().all(|v| v.is_finite()));
        let (shard, at, flipped) = self.place(wrong.map_or(0, |(_, &row)| row as usize));
        let name = if flipped { LATENTS_FLIP } else { LATENTS };
        let problem = format!("{name}[{at}] has a value that is infinite or no number");
        Error::broken(&self.inner.shards[shard].path, problem)
    }
}

/// The files of a set, in order.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = vec![];
    for entry in std::fs::read_dir(path).map_err(Error::file(path))? {
        let file = entry.map_err(Error::file(path))?.path();
        let hidden = file.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        if !hidden && file.extension().is_some_and(|e| e == "safetensors") {
            files.push(file);
        }
    }
    if files.is_empty() {
        let looked_for = "*.safetensors".to_owned();
        return Err(Error::Missing { path: path.into(), what: "latents", looked_for });
    }
    files.sort();
    none_is_missing(path, &files)?;
    Ok(files)
}

/// That of files which say how many they are none is missing.
fn none_is_missing(folder: &Path, files: &[PathBuf]) -> Result<()> {
    let numbered = |file: &PathBuf| -> Option<(String, usize)> {
        let stem = file.file_stem()?.to_str()?;
        let (rest, of) = stem.rsplit_once("-of-")?;
        let (name, _) = rest.rsplit_once('-')?;
        Some((name.to_owned(), of.parse().ok()?))
    };
    let Some((name, of)) = files.iter().find_map(numbered) else { return Ok(()) };
    // No more are looked for than there are files and one.
    for index in 1..=of.min(files.len() + 1) {
        let file = write::name(&name, index, of);
        if !files.contains(&folder.join(&file)) {
            let (what, looked_for) = ("shard", file);
            return Err(Error::Missing { path: folder.into(), what, looked_for });
        }
    }
    Ok(())
}
