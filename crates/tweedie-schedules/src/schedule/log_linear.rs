//! Sigmas in geometric progression.

use serde::{Deserialize, Serialize};

use super::{Schedule, single};
use crate::error::{Result, count, positive, rising};

/// `n` sigmas from `sigma_min` to `sigma_max` in geometric progression, variance exploding:
/// enough for many models (smalldiffusion's `ScheduleLogLinear`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogLinear {
    /// Number of levels.
    pub n: usize,
    /// The smallest sigma.
    pub sigma_min: f64,
    /// The largest sigma.
    pub sigma_max: f64,
}

impl Default for LogLinear {
    fn default() -> Self {
        Self { n: 1000, sigma_min: 0.02, sigma_max: 10.0 }
    }
}

impl LogLinear {
    /// The table.
    ///
    /// # Errors
    /// Unless `n ≥ 2` and `0 < sigma_min < sigma_max`.
    pub fn build(&self) -> Result<Schedule> {
        count("n", self.n, 2)?;
        positive("sigma_min", self.sigma_min)?;
        rising(("sigma_min", self.sigma_min), ("sigma_max", self.sigma_max))?;
        let sigmas = single::logspace(self.sigma_min, self.sigma_max, self.n);
        Schedule::from_sigmas(&sigmas.map(f64::from).collect::<Vec<_>>())
    }
}
