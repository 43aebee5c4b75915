//! How many files are broken, and how many may be.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many files of a set may be broken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a whole number of files, or a part from 0.0 to 1.0")]
pub enum Limit {
    /// So many.
    Count(usize),
    /// This part of all, from 0 to 1, rounded up.
    Fraction(f64),
}

impl Default for Limit {
    fn default() -> Self {
        Limit::Fraction(0.01)
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Limit::Count(n) => write!(f, "{n}"),
            Limit::Fraction(part) => write!(f, "{part:?}"),
        }
    }
}

impl Limit {
    /// Of so many files.
    ///
    /// # Errors
    /// For a fraction that is none.
    pub fn of(self, count: usize) -> Result<usize> {
        match self {
            Limit::Count(n) => Ok(n),
            Limit::Fraction(part) if (0.0..=1.0).contains(&part) => {
                Ok((part * count as f64).ceil() as usize)
            }
            Limit::Fraction(part) => {
                Err(Error::invalid("the broken files that may be", part, "a number or 0.0 to 1.0"))
            }
        }
    }
}

/// The rows that were found broken.
#[derive(Debug)]
pub(super) struct Tally {
    allowed: usize,
    of: usize,
    rows: Mutex<BTreeSet<usize>>,
}

impl Tally {
    pub(super) fn new(limit: Limit, of: usize) -> Result<Self> {
        Ok(Tally { allowed: limit.of(of)?, of, rows: Mutex::default() })
    }

    /// Notes a broken file.
    ///
    /// # Errors
    /// If this is one too many.
    pub(super) fn add(&self, row: usize, path: &Path, problem: String) -> Result<()> {
        let broken = {
            let mut rows = self.lock();
            rows.insert(row);
            rows.len()
        };
        if broken <= self.allowed {
            return Ok(());
        }
        let (allowed, count) = (self.allowed, self.of);
        Err(Error::TooManyBroken { path: path.to_path_buf(), problem, broken, allowed, count })
    }

    /// A known one is passed over, unless there are too many: whoever asks again is told again.
    pub(super) fn knows(&self, row: usize) -> bool {
        let rows = self.lock();
        rows.len() <= self.allowed && rows.contains(&row)
    }

    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn rows(&self) -> Vec<usize> {
        self.lock().iter().copied().collect()
    }

    // A set of numbers is whole whatever happened to who held it.
    fn lock(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_numbers_or_fractions() {
        assert_eq!(Limit::Count(3).of(10).unwrap(), 3);
        for (part, of, expected) in [(0.0, 10, 0), (0.01, 50, 1), (0.01, 1000, 10), (1.0, 7, 7)] {
            assert_eq!(Limit::Fraction(part).of(of).unwrap(), expected, "{part} of {of}");
        }
        for part in [-0.1, 1.1, f64::NAN] {
            assert!(Limit::Fraction(part).of(10).is_err(), "{part}");
        }
    }

    #[test]
    fn the_same_file_counts_once() {
        let tally = Tally::new(Limit::Count(1), 9).unwrap();
        let add = |row| tally.add(row, Path::new("a.png"), "cut off".to_owned());
        assert!(add(4).is_ok() && add(4).is_ok() && tally.knows(4) && !tally.knows(5));
        let error = add(5).unwrap_err().to_string();
        assert_eq!(error, "a.png: cut off; 2 of 9 images are broken, expected at most 1");
        assert!(!tally.knows(4));
    }
}
