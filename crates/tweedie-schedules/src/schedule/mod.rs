//! Tables of noise levels to train on, least noise first.
//!
//! [`LogLinear`], [`Ddpm`], [`Ldm`], [`Sigmoid`], [`Cosine`], [`Flow`] and [`LogNormalFlow`] are
//! smalldiffusion's and have its numbers: torch computes them in single precision, and so does
//! this module: bit for bit, but for a unit in the last place (1.2e-7) here and there in the tables
//! of betas, where torch's vector square root is not correctly rounded.
//!
//! One of your own is five lines:
//! ```
//! use tweedie_schedules::{Result, Schedule};
//!
//! fn quadratic(n: usize, sigma_max: f64) -> Result<Schedule> {
//!     let sigma = |i: usize| sigma_max * (i as f64 / n as f64).powi(2);
//!     Schedule::from_sigmas(&(1..=n).map(sigma).collect::<Vec<_>>())
//! }
//! assert_eq!(quadratic(10, 80.0)?.grid(5)?.start().sigma, 80.0);
//! # Ok::<(), tweedie_schedules::Error>(())
//! ```

mod betas;
mod cosine;
mod flow;
mod log_linear;
mod rescale;
mod shortcuts;
mod single;
mod timestep;

use serde::Serialize;

pub use betas::{Ddpm, Ldm, Sigmoid};
pub use cosine::Cosine;
pub(crate) use flow::check_times;
pub use flow::{Flow, LogNormalFlow};
pub use log_linear::LogLinear;

use crate::error::{Error, MAX_LEVELS, Result, argument};
use crate::grid::{FlowShift, Grid, Trailing};
use crate::level::{NoiseLevel, Scale};

/// A table of noise levels, least noise first, and how grids are laid over it.
///
/// ```
/// use tweedie_schedules::Schedule;
///
/// let schedule = Schedule::log_linear(200, 0.005, 10.0)?;
/// let grid = schedule.grid(20)?;
/// assert_eq!((schedule.len(), grid.steps()), (200, 20));
/// assert_eq!(grid.end(), schedule.levels()[0]);
/// # Ok::<(), tweedie_schedules::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Schedule {
    scale: Scale,
    levels: Vec<NoiseLevel>,
    #[serde(skip)]
    way: Way,
    #[serde(skip)]
    logit_normal: bool,
}

/// How [`Schedule::grid`] goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// Trailing spacing over the table, which it ends with.
    Table,
    /// A line of times, then clean data.
    Line { t_min: f64, t_max: f64, shift: f64 },
}

impl Schedule {
    /// A table of any levels, least noise first.
    ///
    /// # Errors
    /// With fewer than two levels (or more than [`MAX_LEVELS`]), with one that is clean or not
    /// finite, and where one has less noise than the one before.
    pub fn from_levels(scale: Scale, levels: Vec<NoiseLevel>) -> Result<Self> {
        if !(2..=MAX_LEVELS).contains(&levels.len()) {
            return Err(argument("levels", levels.len(), format!("from 2 to {MAX_LEVELS} levels")));
        }
        for level in &levels {
            NoiseLevel::new(level.alpha, level.sigma)?;
            if level.is_clean() {
                return Err(argument("sigma", 0, "above 0: a table has no clean level"));
            }
        }
        for (i, pair) in levels.windows(2).enumerate() {
            let [previous, ratio] = [pair[0].ratio(), pair[1].ratio()];
            if ratio < previous {
                let expected = "noise that does not fall";
                return Err(Error::Order {
                    what: "table",
                    index: i + 1,
                    previous,
                    ratio,
                    expected,
                });
            }
        }
        Ok(Self { scale, levels, way: Way::Table, logit_normal: false })
    }

    /// A variance-exploding table (`alpha = 1`) of these sigmas, smallest first.
    ///
    /// # Errors
    /// As [`Schedule::from_levels`].
    pub fn from_sigmas(sigmas: &[f64]) -> Result<Self> {
        Self::from_levels(Scale::Ve, sigmas.iter().map(|&s| NoiseLevel::ve(s)).collect())
    }

    /// The scale of the levels.
    #[must_use]
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// All levels, least noise first.
    #[must_use]
    pub fn levels(&self) -> &[NoiseLevel] {
        &self.levels
    }

    /// The sigma of every level.
    #[must_use]
    pub fn sigmas(&self) -> Vec<f64> {
        self.levels.iter().map(|level| level.sigma).collect()
    }

    /// Number of levels, at least 2.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it has at least two levels")]
    pub fn len(&self) -> usize {
        self.levels.len()
    }

    /// The level of least noise.
    #[must_use]
    pub fn least(&self) -> NoiseLevel {
        self.levels[0]
    }

    /// The level of most noise.
    #[must_use]
    pub fn most(&self) -> NoiseLevel {
        self.levels[self.levels.len() - 1]
    }

    /// smalldiffusion's sampling grid of `steps` steps, which is [`Trailing`] and ends with the
    /// table's first level; for flow schedules a line of times and then clean data.
    ///
    /// # Errors
    /// For no steps, and for so many that a level would stand twice
    /// (up to two thirds of the table's length never do).
    pub fn grid(&self, steps: usize) -> Result<Grid> {
        match self.way {
            Way::Table => Trailing::default().grid(self, steps),
            Way::Line { t_min, t_max, shift } => {
                FlowShift { shift, t_min, t_max }.grid(steps)?.on(self.scale)
            }
        }
    }

    /// Every level of the table, most noise first: `len() − 1` steps.
    ///
    /// # Errors
    /// Where two levels are equal.
    pub fn every_level(&self) -> Result<Grid> {
        Grid::from_levels(self.levels.iter().rev().copied().collect())
    }

    /// Whether training draws logit-normal times, and within which.
    pub(crate) fn logit_normal_times(&self) -> Option<(f64, f64, f64)> {
        match self.way {
            Way::Line { t_min, t_max, shift } if self.logit_normal => Some((t_min, t_max, shift)),
            _ => None,
        }
    }
}
