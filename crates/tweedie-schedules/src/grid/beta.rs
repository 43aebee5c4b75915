//! Quantiles of a beta distribution.

use serde::{Deserialize, Serialize};

use super::Grid;
use crate::error::{Result, count, ensure};
use crate::level::Scale;
use crate::numeric::{beta_quantile, linspace};
use crate::schedule::Schedule;

/// What is spread like the quantiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// The table's timesteps: the quantiles of `1 − i/steps`, between timesteps where they fall
    /// there. The paper's.
    #[default]
    Timestep,
    /// Sigma itself (time, for flow schedules), both ends included: diffusers'.
    Sigma,
}

/// Quantiles of a beta distribution over a schedule, then clean data: with `alpha = beta = 0.6`
/// steps crowd at both ends ("Beta sampling is all you need", arXiv:2407.12173).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Beta {
    /// First shape parameter, from 0.1 to 100: less than 1 crowds steps at little noise.
    pub alpha: f64,
    /// Second shape parameter, from 0.1 to 100: less than 1 crowds steps at much noise.
    pub beta: f64,
    /// What is spread so.
    pub over: Over,
}

impl Default for Beta {
    fn default() -> Self {
        Self { alpha: 0.6, beta: 0.6, over: Over::Timestep }
    }
}

impl Beta {
    /// The grid of `steps` steps over `schedule`.
    ///
    /// # Errors
    /// Unless `steps ≥ 1` and both shapes are from 0.1 to 100; for [`Over::Sigma`] when the
    /// schedule ends at pure noise that is no flow's.
    pub fn grid(&self, schedule: &Schedule, steps: usize) -> Result<Grid> {
        count("steps", steps, 1)?;
        for (name, shape) in [("alpha", self.alpha), ("beta", self.beta)] {
            ensure((0.1..=100.0).contains(&shape), name, shape, "a number from 0.1 to 100")?;
        }
        let quantile = |p: f64| beta_quantile(p, self.alpha, self.beta);
        match self.over {
            Over::Timestep => {
                let last = (schedule.len() - 1) as f64;
                let place = |i: usize| last * quantile(1.0 - i as f64 / steps as f64);
                let levels = (0..steps).map(|i| schedule.level_at(place(i)));
                Grid::from_levels(levels.chain([schedule.scale().level(0.0)]).collect())
            }
            Over::Sigma => {
                let [min, max] =
                    [schedule.least(), schedule.most()].map(|l| match schedule.scale() {
                        Scale::Flow => l.sigma,
                        _ => l.ratio(),
                    });
                let inner = linspace(1.0, 0.0, steps).map(|p| min + quantile(p) * (max - min));
                super::own_scale(schedule, inner.chain([0.0]).collect())
            }
        }
    }
}
