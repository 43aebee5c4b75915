//! Tables of noise levels to train on, least noise first.
//!
//! The numbers are smalldiffusion's ([`LogLinear`], [`Ddpm`], [`Ldm`], [`Sigmoid`], [`Cosine`],
//! [`Flow`], [`LogNormalFlow`]): torch computes them in single precision, and so does this module
//! (see [`Schedule`]).

mod log_linear;
mod single;

use serde::Serialize;

pub use log_linear::LogLinear;

use crate::error::{Error, MAX_LEVELS, Result, argument};
use crate::grid::Grid;
use crate::level::{NoiseLevel, Scale};

/// A table of noise levels, least noise first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Schedule {
    scale: Scale,
    levels: Vec<NoiseLevel>,
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
        Ok(Self { scale, levels })
    }

    /// A variance-exploding table (`alpha = 1`) of these sigmas, smallest first.
    ///
    /// # Errors
    /// As [`Schedule::from_levels`].
    pub fn from_sigmas(sigmas: &[f64]) -> Result<Self> {
        Self::from_levels(Scale::Ve, sigmas.iter().map(|&s| NoiseLevel::ve(s)).collect())
    }

    /// [`LogLinear`] of these parameters.
    ///
    /// # Errors
    /// As [`LogLinear::build`].
    pub fn log_linear(n: usize, sigma_min: f64, sigma_max: f64) -> Result<Self> {
        LogLinear { n, sigma_min, sigma_max }.build()
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

    /// smalldiffusion's sampling grid of `steps` steps.
    ///
    /// # Errors
    /// For no steps, and for so many that a level would stand twice.
    pub fn grid(&self, steps: usize) -> Result<Grid> {
        let n = self.len();
        crate::error::count("steps", steps, 1)?;
        let index = |i: usize| {
            let place = n as f64 * (1.0 - i as f64 / steps as f64);
            (place.round_ties_even() as usize).saturating_sub(1)
        };
        Grid::from_levels((0..steps).map(index).chain([0]).map(|i| self.levels[i]).collect())
    }
}
