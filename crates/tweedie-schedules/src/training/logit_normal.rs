//! Stable Diffusion 3's distribution.

use super::LevelSampler;
use crate::error::{Result, ensure};
use crate::level::NoiseLevel;
use crate::numeric::{inside, normal_quantile, sigmoid};

/// `ln(t/(1 − t))` is normal, on the rectified-flow path (arXiv:2403.03206, eq. 19).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogitNormal {
    mean: f64,
    std: f64,
}

impl Default for LogitNormal {
    /// Mean 0, standard deviation 1.
    fn default() -> Self {
        Self { mean: 0.0, std: 1.0 }
    }
}

impl LogitNormal {
    /// The distribution with this mean and standard deviation of `ln(t/(1 − t))`.
    ///
    /// # Errors
    /// Unless `−10 ≤ mean ≤ 10` and `0 < std ≤ 10`.
    pub fn new(mean: f64, std: f64) -> Result<Self> {
        ensure((-10.0..=10.0).contains(&mean), "mean", mean, "a number from -10 to 10")?;
        ensure(std > 0.0 && std <= 10.0, "std", std, "a number above 0, at most 10")?;
        Ok(Self { mean, std })
    }

    /// The level of a standard normal number: `t = sigmoid(mean + std·z)`.
    #[must_use]
    pub fn level_of_normal(&self, z: f64) -> NoiseLevel {
        // Never 0 exactly, where a network has nothing to learn.
        NoiseLevel::flow(sigmoid(self.mean + self.std * z).max(f64::MIN_POSITIVE))
    }

    pub(super) fn time(&self, u: f64) -> f64 {
        self.level_of_normal(normal_quantile(inside(u))).sigma
    }
}

impl LevelSampler for LogitNormal {
    fn level(&self, u: f64) -> NoiseLevel {
        NoiseLevel::flow(self.time(u))
    }
}
