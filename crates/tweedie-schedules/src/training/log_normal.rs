//! EDM's distribution.

use super::LevelSampler;
use crate::error::{Result, finite, positive};
use crate::level::NoiseLevel;
use crate::numeric::{inside, normal_quantile};

/// `ln sigma` is normal, variance exploding (Karras et al., arXiv:2206.00364, Table 1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogNormal {
    p_mean: f64,
    p_std: f64,
}

impl Default for LogNormal {
    /// The paper's mean −1.2 and standard deviation 1.2.
    fn default() -> Self {
        Self { p_mean: -1.2, p_std: 1.2 }
    }
}

impl LogNormal {
    /// The distribution with this mean and standard deviation of `ln sigma`.
    ///
    /// # Errors
    /// Unless both are finite and `p_std > 0`; at most 10 (and the mean at most 100 either way),
    /// so that no sigma overflows.
    pub fn new(p_mean: f64, p_std: f64) -> Result<Self> {
        finite("p_mean", p_mean)?;
        positive("p_std", p_std)?;
        crate::error::ensure(p_mean.abs() <= 100.0, "p_mean", p_mean, "from -100 to 100")?;
        crate::error::ensure(p_std <= 10.0, "p_std", p_std, "at most 10")?;
        Ok(Self { p_mean, p_std })
    }

    /// The level of a standard normal number: `sigma = exp(p_mean + p_std·z)`.
    #[must_use]
    pub fn level_of_normal(&self, z: f64) -> NoiseLevel {
        NoiseLevel::ve((self.p_mean + self.p_std * z).exp())
    }
}

impl LevelSampler for LogNormal {
    fn level(&self, u: f64) -> NoiseLevel {
        self.level_of_normal(normal_quantile(inside(u)))
    }
}
