//! Writing shards.

use super::file::{LABELS, LATENTS, LATENTS_FLIP};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};
use tweedie_torch::{tensor, weights};

/// Some latents on their way to a file.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tweedie_data::latents::{LatentConfig, Latents, Shard};
/// use tweedie_data::Source;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// for index in 1..=2 {
///     let latents = Tensor::zeros([5, 4, 8, 8], (Kind::Float, Device::Cpu));
///     Shard::new(&latents).save(folder, index, 2)?;
/// }
/// assert_eq!(Latents::open(folder, LatentConfig::default())?.count(), 10);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Shard<'a> {
    /// `[n, channels, height, width]`; f32, f16 or bf16.
    pub latents: &'a Tensor,
    /// Those of the mirrored images.
    pub flipped: Option<&'a Tensor>,
    /// `[n]`, 64-bit integers of at least 0.
    pub labels: Option<&'a Tensor>,
}

impl<'a> Shard<'a> {
    /// Latents alone.
    pub fn new(latents: &'a Tensor) -> Self {
        Shard { latents, flipped: None, labels: None }
    }

    /// Writes `latents-INDEX-of-OF.safetensors`, the first of index 1, whole or not at all.
    /// Returns where.
    ///
    /// # Errors
    /// For what [`Latents::open`](super::Latents::open) or a batch of it would refuse, and if the
    /// file cannot be written.
    pub fn save(&self, folder: &Path, index: usize, of: usize) -> Result<PathBuf> {
        if !(1..=of).contains(&index) {
            return Err(Error::invalid("the number of a shard", index, format!("1 to {of}")));
        }
        self.check()?;
        let path = folder.join(name("latents", index, of));
        let tensors =
            [(LATENTS, Some(self.latents)), (LATENTS_FLIP, self.flipped), (LABELS, self.labels)];
        let tensors = tensors.into_iter().filter_map(|(name, t)| Some((name, t?)));
        weights::save(&path, tensors, &BTreeMap::new(), None)?;
        Ok(path)
    }

    fn check(&self) -> Result<()> {
        let (size, kind) = (self.latents.size(), self.latents.kind());
        let float = matches!(kind, Kind::Float | Kind::Half | Kind::BFloat16);
        if size.len() != 4 || size.contains(&0) || !float {
            let expected = "f32, f16 or bf16 [n, channels, height, width]";
            return Err(Error::invalid("latents", format!("{kind:?} {size:?}"), expected));
        }
        let flipped = self.flipped.map(|f| (f.size(), f.kind()));
        if let Some(found) = flipped.filter(|found| *found != (size.clone(), kind)) {
            let expected = format!("{kind:?} {size:?} as the latents");
            return Err(Error::invalid("flipped latents", format!("{found:?}"), expected));
        }
        for t in [Some(self.latents), self.flipped].into_iter().flatten() {
            if !tensor::all_finite(t)? {
                return Err(Error::invalid("latents", "infinite or no number", "finite numbers"));
            }
        }
        let labels = self.labels.map(|l| (l.size(), l.kind()));
        if let Some(found) = labels.filter(|found| *found != (vec![size[0]], Kind::Int64)) {
            let expected = format!("Int64 [{}]", size[0]);
            return Err(Error::invalid("labels", format!("{found:?}"), expected));
        }
        match self.labels.map(|l| l.min().int64_value(&[])) {
            Some(least) if least < 0 => Err(Error::invalid("a label", least, "at least 0")),
            _ => Ok(()),
        }
    }
}

/// Hugging Face's way to number the parts of a whole.
pub(super) fn name(stem: &str, index: usize, of: usize) -> String {
    format!("{stem}-{index:05}-of-{of:05}.safetensors")
}
