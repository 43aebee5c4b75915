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
    progress: impl FnMut(usize),
) -> Result<Tensor> {
    let mut parts = vec![];
    batches(extractor, set, progress, |_, part| {
        parts.push(part);
        Ok(())
    })?;
    Ok(Tensor::cat(&parts, 0))
}

/// Hands on the features batch by batch, with the number of the first image.
fn batches(
    extractor: &dyn Extractor,
    set: &Dataset,
    mut progress: impl FnMut(usize),
    mut take: impl FnMut(usize, Tensor) -> Result<()>,
) -> Result<()> {
    let _guard = tch::no_grad_guard();
    for first in (0..set.count()).step_by(BATCH) {
        let last = (first + BATCH).min(set.count());
        let rows: Vec<i64> = (first as i64..last as i64).collect();
        let part = extractor.features(&set.rows(&rows).x)?.to_device(Device::Cpu);
        if !tensor::all_finite(&part)? {
            return Err(Error::NotFinite("the features of an image"));
        }
        take(first, part)?;
        progress(last);
    }
    Ok(())
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

    /// In one pass over the set: no more features are in memory than are kept.
    ///
    /// # Errors
    /// As [`features`].
    pub fn of(
        extractor: &dyn Extractor,
        set: &Dataset,
        progress: impl FnMut(usize),
    ) -> Result<Self> {
        let kept = even_rows(set.count(), Self::KEPT);
        let (mut moments, mut parts, mut next) = (None, vec![], 0);
        batches(extractor, set, progress, |first, part| {
            let moments = match &mut moments {
                Some(moments) => moments,
                None => moments.insert(Moments::new(part.size().get(1).copied().unwrap_or(0))?),
            };
            moments.add(&part)?;
            let last = first as i64 + part.size()[0];
            let within = kept[next..].iter().take_while(|row| **row < last);
            let rows: Vec<i64> = within.map(|row| row - first as i64).collect();
            next += rows.len();
            parts.push(select(&part, &rows)?);
            Ok(())
        })?;
        // A data set has at least one image.
        let moments = moments.ok_or(Error::TooFew { what: "statistics", found: 0, needed: 1 })?;
        Ok(Reference { moments, features: Tensor::cat(&parts, 0) })
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
    match n <= most {
        true => Ok(set.shallow_clone()),
        false => select(set, &even_rows(n, most)),
    }
}

/// The numbers of at most `most` rows out of n, rising.
fn even_rows(n: usize, most: usize) -> Vec<i64> {
    let count = n.min(most);
    (0..count).map(|k| (k * n / count) as i64).collect()
}

fn select(set: &Tensor, rows: &[i64]) -> Result<Tensor> {
    let rows = tensor::from_i64(rows, &[rows.len() as i64])?;
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

    /// More images than are kept, in batches that do not fit into the gaps.
    #[test]
    fn one_pass_keeps_the_same_as_all_at_once() {
        let n = Reference::KEPT as i64 + 3_000;
        let all = features(&Brightness, &set(n), |_| {}).unwrap();
        let reference = Reference::of(&Brightness, &set(n), |_| {}).unwrap();
        let kept = evenly(&all, Reference::KEPT).unwrap();
        assert_eq!(to_f32(&reference.features).unwrap(), to_f32(&kept).unwrap());
        assert_eq!(reference.moments.count(), n as u64);
        let mean = to_f64(reference.moments.mean()).unwrap();
        assert!((mean[0] - (n - 1) as f64 / 2.0).abs() < 1e-6 && mean[1] == 1.0, "{mean:?}");
    }

    #[test]
    fn statistics_survive_the_disk_and_belong_to_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.safetensors");
        let all = features(&Brightness, &set(30), |_| {}).unwrap();
        let reference = Reference::of(&Brightness, &set(30), |_| {}).unwrap();
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
