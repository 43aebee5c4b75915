//! Some of the samples of a set.

use crate::{Batch, Error, Result, Source, source::check_rows};
use std::sync::Arc;

/// These rows of a set, in this order; nothing is copied.
#[derive(Debug)]
pub struct Subset {
    source: Box<dyn Source>,
    rows: Arc<[i64]>,
}

impl Subset {
    /// Takes rows of `source`, at least one.
    ///
    /// # Errors
    /// If there are none, or one is not there.
    pub fn new(source: Box<dyn Source>, rows: &[i64]) -> Result<Self> {
        if rows.is_empty() {
            return Err(Error::invalid("the number of rows", 0, "at least 1"));
        }
        check_rows(rows, source.count())?;
        Ok(Subset { source, rows: rows.into() })
    }
}

impl Source for Subset {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn sample_shape(&self) -> Vec<i64> {
        self.source.sample_shape()
    }

    fn classes(&self) -> Option<i64> {
        self.source.classes()
    }

    fn batch(&self, rows: &[i64]) -> Result<Batch> {
        check_rows(rows, self.rows.len())?;
        let rows: Vec<i64> = rows.iter().map(|&row| self.rows[row as usize]).collect();
        self.source.batch(&rows)
    }

    fn share(&self) -> Box<dyn Source> {
        Box::new(Subset { source: self.source.share(), rows: Arc::clone(&self.rows) })
    }

    fn broken(&self) -> usize {
        self.source.broken()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;
    use tweedie_torch::tensor::{from_f32, to_f32};

    #[test]
    fn rows_are_those_of_the_set() {
        let set = || {
            let x = from_f32(&[0.0, 1.0, 2.0, 3.0], &[4, 1]).unwrap();
            Box::new(Dataset::new(x, None).unwrap())
        };
        let subset = Subset::new(set(), &[3, 1]).unwrap();
        assert_eq!((subset.count(), subset.sample_shape()), (2, vec![1]));
        assert_eq!(to_f32(&subset.whole().unwrap().x).unwrap(), [3.0, 1.0]);
        assert_eq!(to_f32(&subset.share().batch(&[1]).unwrap().x).unwrap(), [1.0]);
        assert!(subset.batch(&[2]).is_err());
        assert!(Subset::new(set(), &[4]).is_err() && Subset::new(set(), &[]).is_err());
    }
}
