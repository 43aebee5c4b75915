//! Schedules and grids by name, for recipes and programs.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::schedule::{Cosine, Ddpm, Flow, Ldm, LogLinear, LogNormalFlow, Schedule, Sigmoid};

/// A schedule with its parameters: in TOML `type = "log-linear"`, `n = 200`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ScheduleSpec {
    /// Sigmas in geometric progression.
    LogLinear(LogLinear),
    /// Betas in a line.
    Ddpm(Ddpm),
    /// Square roots of betas in a line.
    Ldm(Ldm),
    /// Betas along a sigmoid.
    Sigmoid(Sigmoid),
    /// Nichol and Dhariwal's cosine.
    Cosine(Cosine),
    /// Rectified flow, times drawn uniformly.
    Flow(Flow),
    /// Rectified flow, times drawn from a logit-normal distribution.
    LogNormalFlow(LogNormalFlow),
}

impl ScheduleSpec {
    /// The table.
    ///
    /// # Errors
    /// When a parameter is outside its range.
    pub fn build(&self) -> Result<Schedule> {
        match self {
            Self::LogLinear(s) => s.build(),
            Self::Ddpm(s) => s.build(),
            Self::Ldm(s) => s.build(),
            Self::Sigmoid(s) => s.build(),
            Self::Cosine(s) => s.build(),
            Self::Flow(s) => s.build(),
            Self::LogNormalFlow(s) => s.build(),
        }
    }
}

/// A rule for sampling grids.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum GridSpec {
    /// The schedule's own.
    Own {},
}

impl GridSpec {
    /// The grid of `steps` steps for models trained on `schedule`.
    ///
    /// # Errors
    /// When a parameter is outside its range, or the table too short for so many steps.
    pub fn grid(&self, schedule: &Schedule, steps: usize) -> Result<crate::Grid> {
        match self {
            Self::Own {} => schedule.grid(steps),
        }
    }
}
