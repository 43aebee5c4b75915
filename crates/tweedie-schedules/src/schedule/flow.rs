//! Rectified flow.

use serde::{Deserialize, Serialize};

use super::{Schedule, Way, single};
use crate::error::{Result, count, ensure, rising};
use crate::level::{NoiseLevel, Scale};

/// Times in a line from `t_min` to `t_max`, the levels `(1 − t, t)`:
/// flow matching with times drawn uniformly (arXiv:2209.03003, arXiv:2210.02747).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flow {
    /// Number of levels.
    pub n: usize,
    /// The time nearest to data.
    pub t_min: f64,
    /// The time nearest to noise, at most 1.
    pub t_max: f64,
}

/// [`Flow`], but trained at the times `sigmoid(z)`, `z` standard normal, clamped to
/// `[t_min, t_max]` (arXiv:2403.03206, sec. 3.1): half-way times come more often.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogNormalFlow {
    /// Number of levels.
    pub n: usize,
    /// The time nearest to data.
    pub t_min: f64,
    /// The time nearest to noise, at most 1.
    pub t_max: f64,
}

impl Default for Flow {
    fn default() -> Self {
        Self { n: 1000, t_min: 0.001, t_max: 1.0 }
    }
}

impl Default for LogNormalFlow {
    fn default() -> Self {
        let Flow { n, t_min, t_max } = Flow::default();
        Self { n, t_min, t_max }
    }
}

impl Flow {
    /// The table.
    ///
    /// # Errors
    /// Unless `n ≥ 2` and `0 < t_min < t_max ≤ 1`.
    pub fn build(&self) -> Result<Schedule> {
        count("n", self.n, 2)?;
        check_times(self.t_min, self.t_max)?;
        let times = single::linspace(self.t_min, self.t_max, self.n);
        let levels = times.map(|t| NoiseLevel::flow(f64::from(t))).collect();
        let mut schedule = Schedule::from_levels(Scale::Flow, levels)?;
        schedule.way = Way::Line { t_min: self.t_min, t_max: self.t_max, shift: 1.0 };
        Ok(schedule)
    }
}

impl LogNormalFlow {
    /// The table.
    ///
    /// # Errors
    /// As [`Flow::build`].
    pub fn build(&self) -> Result<Schedule> {
        let mut schedule = Flow { n: self.n, t_min: self.t_min, t_max: self.t_max }.build()?;
        schedule.logit_normal = true;
        Ok(schedule)
    }
}

/// `0 < t_min < t_max ≤ 1`.
pub(crate) fn check_times(t_min: f64, t_max: f64) -> Result<()> {
    ensure(t_min > 0.0, "t_min", t_min, "a number above 0")?;
    ensure(t_max <= 1.0, "t_max", t_max, "at most 1")?;
    rising(("t_min", t_min), ("t_max", t_max))
}
