//! What a loader reads from: sets in memory, and sets that stay on disk.

use crate::{Batch, Dataset, Error, Result};
use std::fmt::Debug;
use tch::Tensor;

/// Samples by their number: a [`Dataset`] in memory, or files that are read when they are asked
/// for.
///
/// A batch is a function of its rows alone, so whoever knows the order knows the batches.
pub trait Source: Debug + Send {
    /// The number of samples; at least 1.
    fn count(&self) -> usize;

    /// The shape of one sample.
    fn sample_shape(&self) -> Vec<i64>;

    /// The number of classes, one more than the largest label; none without labels.
    fn classes(&self) -> Option<i64>;

    /// The samples of these rows, in this order: `[rows, …]` of single precision, images in
    /// [−1, 1].
    ///
    /// # Errors
    /// For a row that is not there, or a file that cannot be read.
    fn batch(&self, rows: &[i64]) -> Result<Batch>;

    /// The same set for another thread; nothing is copied.
    fn share(&self) -> Box<dyn Source>;

    /// Everything, in order. It must fit in memory.
    fn whole(&self) -> Result<Batch> {
        self.batch(&(0..self.count() as i64).collect::<Vec<_>>())
    }

    /// How many samples were found broken, and replaced by the next good one, so far.
    fn broken(&self) -> usize {
        0
    }
}

impl Source for Dataset {
    fn count(&self) -> usize {
        self.count()
    }

    fn sample_shape(&self) -> Vec<i64> {
        self.sample_shape()
    }

    fn classes(&self) -> Option<i64> {
        self.classes()
    }

    fn batch(&self, rows: &[i64]) -> Result<Batch> {
        check_rows(rows, self.count())?;
        Ok(self.rows(rows))
    }

    fn share(&self) -> Box<dyn Source> {
        Box::new(self.shallow_clone())
    }

    fn whole(&self) -> Result<Batch> {
        Ok(self.all())
    }
}

impl Source for Box<dyn Source> {
    fn count(&self) -> usize {
        (**self).count()
    }

    fn sample_shape(&self) -> Vec<i64> {
        (**self).sample_shape()
    }

    fn classes(&self) -> Option<i64> {
        (**self).classes()
    }

    fn batch(&self, rows: &[i64]) -> Result<Batch> {
        (**self).batch(rows)
    }

    fn share(&self) -> Box<dyn Source> {
        (**self).share()
    }

    fn whole(&self) -> Result<Batch> {
        (**self).whole()
    }

    fn broken(&self) -> usize {
        (**self).broken()
    }
}

/// So many samples are read at once by [`Dataset::read`].
const CHUNK: usize = 1024;

impl Dataset {
    /// Reads a whole source into memory, in single precision.
    ///
    /// # Errors
    /// If one of its batches cannot be read.
    pub fn read(source: &dyn Source) -> Result<Self> {
        let rows: Vec<i64> = (0..source.count() as i64).collect();
        let (mut x, mut labels) = (vec![], vec![]);
        for rows in rows.chunks(CHUNK) {
            let batch = source.batch(rows)?;
            x.push(batch.x);
            labels.extend(batch.labels);
        }
        let join = |parts: &[Tensor]| Tensor::f_cat(parts, 0).map_err(tweedie_torch::Error::from);
        let labels = (!labels.is_empty()).then(|| join(&labels)).transpose()?;
        Dataset::new(join(&x)?, labels)
    }
}

/// That every row is there.
pub(crate) fn check_rows(rows: &[i64], count: usize) -> Result<()> {
    let outside = rows.iter().find(|&&row| !(0..count as i64).contains(&row));
    match outside {
        Some(row) => Err(Error::invalid("a row", row, format!("0 to {}", count - 1))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::tensor::{from_f32, from_i64, to_f32, to_i64};

    #[test]
    fn a_set_in_memory_is_a_source() {
        let values: Vec<f32> = (0..3000).map(|i| i as f32).collect();
        let labels: Vec<i64> = (0..3000).map(|i| i % 7).collect();
        let x = from_f32(&values, &[3000, 1]).unwrap();
        let set = Dataset::new(x, Some(from_i64(&labels, &[3000]).unwrap())).unwrap();
        let source: Box<dyn Source> = set.share();
        assert_eq!((source.count(), source.classes(), source.broken()), (3000, Some(7), 0));
        let batch = source.batch(&[2999, 0]).unwrap();
        assert_eq!(to_f32(&batch.x).unwrap(), [2999.0, 0.0]);
        for outside in [-1, 3000] {
            assert!(source.batch(&[0, outside]).is_err());
        }
        let read = Dataset::read(&*source).unwrap();
        assert_eq!(to_f32(read.samples()).unwrap(), values);
        assert_eq!(to_i64(read.labels().unwrap()).unwrap(), labels);
    }
}
