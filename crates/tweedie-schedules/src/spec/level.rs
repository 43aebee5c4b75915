//! Training noise by name.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::schedule::Schedule;
use crate::training::{Importance, LevelSampler, LogNormal, LogitNormal, Mode, UniformIndex};

/// A distribution of training noise with its parameters: in TOML `type = "log-normal"`,
/// `p_mean = -1.2`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum LevelSpec {
    /// The one that smalldiffusion trains the schedule with.
    Own {},
    /// [`UniformIndex`].
    UniformIndex {},
    /// [`LogNormal`].
    LogNormal {
        /// Mean of `ln sigma`.
        #[serde(default = "edm_mean")]
        p_mean: f64,
        /// Standard deviation of `ln sigma`.
        #[serde(default = "edm_std")]
        p_std: f64,
    },
    /// [`LogitNormal`].
    LogitNormal {
        /// Mean of `ln(t/(1 − t))`.
        #[serde(default)]
        mean: f64,
        /// Standard deviation of `ln(t/(1 − t))`.
        #[serde(default = "unit")]
        std: f64,
    },
    /// [`Mode`].
    Mode {
        /// How much times in the middle are favoured.
        #[serde(default = "sd3_scale")]
        scale: f64,
    },
    /// [`Importance`].
    Importance {
        /// One weight for each level of the schedule.
        weights: Vec<f64>,
    },
}

fn edm_mean() -> f64 {
    -1.2
}

fn edm_std() -> f64 {
    1.2
}

fn unit() -> f64 {
    1.0
}

fn sd3_scale() -> f64 {
    1.29
}

impl Default for LevelSpec {
    /// The schedule's own.
    fn default() -> Self {
        Self::Own {}
    }
}

impl LevelSpec {
    /// The distribution, over `schedule` where it is one over a table.
    ///
    /// # Errors
    /// When a parameter is outside its range.
    pub fn build(&self, schedule: &Schedule) -> Result<Box<dyn LevelSampler + Send + Sync>> {
        Ok(match *self {
            Self::Own {} => Box::new(schedule.clone()),
            Self::UniformIndex {} => Box::new(UniformIndex(schedule.clone())),
            Self::LogNormal { p_mean, p_std } => Box::new(LogNormal::new(p_mean, p_std)?),
            Self::LogitNormal { mean, std } => Box::new(LogitNormal::new(mean, std)?),
            Self::Mode { scale } => Box::new(Mode::new(scale)?),
            Self::Importance { ref weights } => Box::new(Importance::new(schedule, weights)?),
        })
    }
}
