//! Schedules and grids by name, for recipes and programs.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::grid::{Grid, Karras};
use crate::schedule::{LogLinear, Schedule};

/// A schedule with its parameters: in TOML `type = "log-linear"`, `n = 200`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ScheduleSpec {
    /// Geometric sigmas.
    LogLinear(LogLinear),
}

impl ScheduleSpec {
    /// The table.
    ///
    /// # Errors
    /// When a parameter is outside its range.
    pub fn build(&self) -> Result<Schedule> {
        match self {
            Self::LogLinear(s) => s.build(),
        }
    }
}

/// A rule for sampling grids with its parameters: in TOML `type = "karras"`, `rho = 7`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GridSpec {
    /// Karras et al.
    Karras(Karras),
}

impl GridSpec {
    /// The grid of `steps` steps for models trained on `schedule`.
    ///
    /// # Errors
    /// When a parameter is outside its range, or the table too short for so many steps.
    pub fn grid(&self, schedule: &Schedule, steps: usize) -> Result<Grid> {
        match self {
            Self::Karras(k) => k.grid(steps)?.on(schedule.scale()),
        }
    }
}
