//! Networks that turn images into features, and what is kept of a data set's features.

use crate::{Error, Moments, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Kind, Tensor};
use tweedie_data::Dataset;
use tweedie_torch::tensor;
use tweedie_torch::weights::{self, KindPolicy};

/// A network whose features are compared.
pub trait Extractor {
    /// What the features are of: enough to tell one extractor from any other.
    fn key(&self) -> String;

    /// Images `[n, channels, height, width]` in [−1, 1] to features `[n, dim]`, single precision.
    ///
    /// # Errors
    /// If the images are of a shape that the network cannot take.
    fn features(&self, images: &Tensor) -> Result<Tensor>;
}

/// Images that go through a network together.
const BATCH: usize = 64;

/// The features of all images of a set, `[n, dim]`, on the CPU. `progress` hears how many are
/// done.
///
/// # Errors
/// If the network cannot take the images, or a feature is not finite.
pub fn features(
    extractor: &dyn Extractor,
    set: &Dataset,
    mut progress: impl FnMut(usize),
) -> Result<Tensor> {
    let _guard = tch::no_grad_guard();
    let mut parts = vec![];
    for first in (0..set.count()).step_by(BATCH) {
        let last = (first + BATCH).min(set.count());
        let rows: Vec<i64> = (first as i64..last as i64).collect();
        let part = extractor.features(&set.rows(&rows).x)?.to_device(Device::Cpu);
        if !tensor::all_finite(&part)? {
            return Err(Error::NotFinite("the features of an image"));
        }
        parts.push(part);
        progress(last);
    }
    Ok(Tensor::cat(&parts, 0))
}

/// What is kept of a data set: the moments of all features, and some features themselves.
#[derive(Debug)]
pub struct Reference {
    /// Of all images.
    pub moments: Moments,
    /// Of at most [`Reference::KEPT`] images, spread evenly over the set, `[n, dim]`.
    pub features: Tensor,
}

impl Reference {
    /// The most features that are kept: kernel distances, precision and recall look at no more.
    pub const KEPT: usize = 10_000;

    /// From the features of all images, `[n, dim]`.
    ///
    /// # Errors
    /// If there are none, or one is not finite.
    pub fn new(features: &Tensor) -> Result<Self> {
        let moments = Moments::of(features)?;
        let kept = evenly(features, Self::KEPT)?;
        Ok(Reference { moments, features: kept })
    }

    /// Writes it whole or not at all; `key` says of what it is.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path, key: &str) -> Result<()> {
        let count = tensor::from_i64(&[self.moments.count() as i64], &[1])?;
        let tensors = [
            ("count", &count),
            ("mean", self.moments.mean()),
            ("scatter", self.moments.scatter()),
            ("features", &self.features),
        ];
        let notes = BTreeMap::from([("key".to_owned(), key.to_owned())]);
        Ok(weights::save(path, tensors, &notes, None)?)
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// If the file is not whole, or of another `key`.
    pub fn load(path: &Path, key: &str) -> Result<Self> {
        let notes = weights::header(path)?.metadata;
        let found = notes.get("key").map_or("nothing", String::as_str);
        if found != key {
            return Err(Error::broken(path, format!("statistics of {found}, expected {key}")));
        }
        let mut dict = weights::load(path, KindPolicy::Keep, Device::Cpu)?;
        let mut take = |name: &str, kind: Kind, dims: usize| {
            let t = dict.remove(name).filter(|t| t.kind() == kind && t.dim() == dims);
            t.ok_or_else(|| Error::broken(path, format!("no {name} of statistics")))
        };
        let count = tensor::to_i64(&take("count", Kind::Int64, 1)?)?;
        let mean = take("mean", Kind::Double, 1)?;
        let scatter = take("scatter", Kind::Double, 2)?;
        let features = take("features", Kind::Float, 2)?;
        let dim = mean.size()[0];
        let fits = scatter.size() == [dim, dim] && features.size()[1] == dim && dim > 0;
        match count[..] {
            [count] if fits && count > 0 => {
                let moments = Moments::from_parts(count as u64, mean, scatter);
                Ok(Reference { moments, features })
            }
            _ => Err(Error::broken(path, "statistics whose parts do not belong together")),
        }
    }
}

/// At most `most` rows, spread evenly from the first on.
pub(crate) fn evenly(set: &Tensor, most: usize) -> Result<Tensor> {
    let n = set.size()[0] as usize;
    if n <= most {
        return Ok(set.shallow_clone());
    }
    let rows: Vec<i64> = (0..most).map(|k| (k * n / most) as i64).collect();
    let rows = tensor::from_i64(&rows, &[most as i64])?;
    Ok(set.index_select(0, &rows.to_device(set.device())))
}

/// A name for exactly these samples and labels: SHA-256 of kinds, shapes and bytes.
///
/// # Errors
/// If the samples cannot be read back from their device.
pub fn fingerprint(set: &Dataset) -> Result<String> {
    const ROWS: i64 = 4096;
    let mut hash = Sha256::new();
    for t in [Some(set.samples()), set.labels()].into_iter().flatten() {
        hash.update(format!("{:?} {:?}\n", t.kind(), t.size()));
        for part in t.split(ROWS, 0) {
            hash.update(tensor::to_bytes(&part)?);
        }
    }
    Ok(hex(&hash.finalize()))
}

/// Sixteen hexadecimal digits of a hash: enough for a name.
pub(crate) fn hex(hash: &[u8]) -> String {
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::tensor::{from_f32, from_i64, to_f32, to_f64};

    /// The brightness of an image, and a one.
    struct Brightness;

    impl Extractor for Brightness {
        fn key(&self) -> String {
            "brightness".to_owned()
        }

        fn features(&self, images: &Tensor) -> Result<Tensor> {
            let mean = images.flatten(1, -1).mean_dim(1, true, Kind::Float);
            Ok(Tensor::cat(&[&mean, &mean.ones_like()], 1))
        }
    }

    fn set(n: i64) -> Dataset {
        let values: Vec<f32> = (0..n).map(|v| v as f32).collect();
        Dataset::new(from_f32(&values, &[n, 1, 1, 1]).unwrap(), None).unwrap()
    }

    #[test]
    fn batches_are_put_together_in_order() {
        let mut heard = vec![];
        let found = features(&Brightness, &set(150), |n| heard.push(n)).unwrap();
        assert_eq!(heard, [64, 128, 150]);
        assert_eq!(to_f32(&found).unwrap()[2 * 149..], [149.0, 1.0]);
    }

    #[test]
    fn statistics_survive_the_disk_and_belong_to_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.safetensors");
        let all = features(&Brightness, &set(30), |_| {}).unwrap();
        let reference = Reference::new(&all).unwrap();
        reference.save(&path, "a set").unwrap();
        let again = Reference::load(&path, "a set").unwrap();
        assert_eq!(again.moments.count(), 30);
        let same = |a: &Tensor, b: &Tensor| assert_eq!(to_f64(a).unwrap(), to_f64(b).unwrap());
        same(&again.moments.covariance().unwrap(), &reference.moments.covariance().unwrap());
        same(&again.features, &all);
        let error = Reference::load(&path, "another").unwrap_err().to_string();
        assert!(error.contains("of a set, expected another"), "{error}");
        let notes = BTreeMap::from([("key".to_owned(), "a set".to_owned())]);
        weights::save(&path, [("mean", &all)], &notes, None).unwrap();
        assert!(matches!(Reference::load(&path, "a set"), Err(Error::Broken { .. })));
    }

    #[test]
    fn a_fingerprint_tells_sets_apart() {
        let labelled = |l| {
            let labels = from_i64(&[l, 1], &[2]).unwrap();
            Dataset::new(from_f32(&[1.0, 2.0], &[2, 1]).unwrap(), Some(labels)).unwrap()
        };
        let one = fingerprint(&labelled(0)).unwrap();
        assert_eq!(one.len(), 16);
        assert_eq!(one, fingerprint(&labelled(0)).unwrap());
        assert_ne!(one, fingerprint(&labelled(1)).unwrap());
        assert_ne!(fingerprint(&set(2)).unwrap(), fingerprint(&set(3)).unwrap());
    }

    #[test]
    fn rows_are_spread_evenly() {
        let rows = evenly(set(10).samples(), 4).unwrap();
        assert_eq!(to_f32(&rows).unwrap(), [0.0, 2.0, 5.0, 7.0]);
    }
}
