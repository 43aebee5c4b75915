//! Levels of a table, each as often as it is worth.

use super::LevelSampler;
use crate::error::{Result, argument, ensure};
use crate::level::NoiseLevel;
use crate::numeric::inside;
use crate::schedule::Schedule;

/// Level `i` of a table with probability `weights[i] / Σ weights`, for instance the root mean
/// square of its recent losses (arXiv:2102.09672, eq. 18). An unbiased loss divides by
/// [`Importance::probability`] times the number of levels.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    levels: Vec<NoiseLevel>,
    /// Sum of the weights up to and including each level.
    cumulative: Vec<f64>,
}

impl Importance {
    /// The distribution over the levels of `schedule`, one weight each.
    ///
    /// # Errors
    /// Unless there are as many weights as levels, all finite and at least 0, with a finite sum
    /// above 0.
    pub fn new(schedule: &Schedule, weights: &[f64]) -> Result<Self> {
        if weights.len() != schedule.len() {
            let expected = format!("{}, one for each level", schedule.len());
            return Err(argument("number of weights", weights.len(), expected));
        }
        let mut sum = 0.0;
        let mut cumulative = Vec::with_capacity(weights.len());
        for &weight in weights {
            ensure(weight >= 0.0, "weight", weight, "a finite number of at least 0")?;
            sum += weight;
            cumulative.push(sum);
        }
        ensure(sum > 0.0 && sum.is_finite(), "sum of weights", sum, "a finite number above 0")?;
        Ok(Self { levels: schedule.levels().to_vec(), cumulative })
    }

    /// Index in the table of the level for `u ∈ (0, 1)`.
    #[must_use]
    pub fn index(&self, u: f64) -> usize {
        let last = self.cumulative.len() - 1;
        let share = inside(u) * self.cumulative[last];
        let index = self.cumulative.partition_point(|&c| c <= share).min(last);
        // Rounding may lead past the last weight that is not 0.
        if self.probability(index) > 0.0 {
            index
        } else {
            self.cumulative.partition_point(|&c| c < self.cumulative[last])
        }
    }

    /// Probability of level `index`, 0 beyond the table.
    #[must_use]
    pub fn probability(&self, index: usize) -> f64 {
        let sum = self.cumulative[self.cumulative.len() - 1];
        let before = index.checked_sub(1).and_then(|i| self.cumulative.get(i)).unwrap_or(&0.0);
        self.cumulative.get(index).map_or(0.0, |c| (c - before) / sum)
    }
}

impl LevelSampler for Importance {
    fn level(&self, u: f64) -> NoiseLevel {
        self.levels[self.index(u)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_often_as_weighted() {
        let schedule = Schedule::from_sigmas(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        let importance = Importance::new(&schedule, &[1.0, 0.0, 3.0, 0.0]).unwrap();
        let drawn = [0.0, 0.2, 0.26, 0.9, 1.0].map(|u| importance.index(u));
        assert_eq!(drawn, [0, 0, 2, 2, 2]);
        assert_eq!([0, 1, 2, 3, 9].map(|i| importance.probability(i)), [0.25, 0.0, 0.75, 0.0, 0.0]);
        for weights in [
            &[1.0][..],
            &[0.0; 4],
            &[1.0, -1.0, 1.0, 1.0],
            &[f64::NAN, 1.0, 1.0, 1.0],
            &[f64::MAX; 4],
        ] {
            assert!(Importance::new(&schedule, weights).is_err());
        }
    }
}
