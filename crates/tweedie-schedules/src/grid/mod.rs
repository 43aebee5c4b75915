//! Time grids: the levels that a sampler visits, most noise first.
//!
//! A rule for making one ([`Karras`], [`Exponential`], …) is a value with a method
//! `grid(steps)`, or `grid(&schedule, steps)` where it picks from a table.

mod ays;
mod beta;
mod exponential;
mod flow_shift;
mod karras;
mod optimal;
mod table;
mod uniform_lambda;
mod uniform_time;

use serde::{Deserialize, Serialize};

pub use ays::Ays;
pub use beta::{Beta, Over};
pub use exponential::{Exponential, PolyExponential};
pub use flow_shift::{FlowShift, shift_for_tokens, shift_time};
pub use karras::Karras;
pub use optimal::StepCosts;
pub use table::{Convention, End, Leading, Linspace, Trailing};
pub use uniform_lambda::UniformLambda;
pub use uniform_time::UniformTime;

use crate::error::{Error, MAX_LEVELS, Result, argument, ensure};
use crate::level::{NoiseLevel, Scale};
use crate::schedule::Schedule;

/// At least two noise levels, strictly falling in noise.
///
/// A sampler steps from each level to the next, so a grid of `n + 1` levels is `n` steps.
/// All levels are finite; only the first may be pure noise, only the last clean.
///
/// ```
/// use tweedie_schedules::Grid;
///
/// let grid = Grid::from_sigmas(&[10.0, 1.0, 0.1])?;
/// assert_eq!(grid.steps(), 2);
/// for (from, to) in grid.pairs() {
///     assert!(from.sigma > to.sigma);
/// }
/// # Ok::<(), tweedie_schedules::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<NoiseLevel>", into = "Vec<NoiseLevel>")]
pub struct Grid(Vec<NoiseLevel>);

impl Grid {
    /// A grid of any levels.
    ///
    /// # Errors
    /// With fewer than two levels (or more than [`MAX_LEVELS`]), with one that is negative or not
    /// finite, and where one does not have less noise than the one before.
    pub fn from_levels(levels: Vec<NoiseLevel>) -> Result<Self> {
        if !(2..=MAX_LEVELS).contains(&levels.len()) {
            return Err(argument("levels", levels.len(), format!("from 2 to {MAX_LEVELS} levels")));
        }
        for level in &levels {
            NoiseLevel::new(level.alpha, level.sigma)?;
        }
        for (i, pair) in levels.windows(2).enumerate() {
            let [previous, ratio] = [pair[0].ratio(), pair[1].ratio()];
            if ratio >= previous {
                let expected = "strictly falling noise";
                return Err(Error::Order { what: "grid", index: i + 1, previous, ratio, expected });
            }
        }
        Ok(Self(levels))
    }

    /// A variance-exploding grid (`alpha = 1`) of these sigmas.
    ///
    /// # Errors
    /// As [`Grid::from_levels`].
    pub fn from_sigmas(sigmas: &[f64]) -> Result<Self> {
        Self::from_levels(sigmas.iter().map(|&sigma| NoiseLevel::ve(sigma)).collect())
    }

    /// The grid of the same noise ratios `sigma/alpha`, given most noise first, at `scale`.
    ///
    /// # Errors
    /// As [`Grid::from_levels`].
    pub fn from_ratios(scale: Scale, ratios: impl IntoIterator<Item = f64>) -> Result<Self> {
        Self::from_levels(ratios.into_iter().map(|ratio| scale.level(ratio)).collect())
    }

    /// All levels, most noise first.
    #[must_use]
    pub fn levels(&self) -> &[NoiseLevel] {
        &self.0
    }

    /// Number of steps: one less than levels.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.0.len() - 1
    }

    /// The level that sampling starts at.
    #[must_use]
    pub fn start(&self) -> NoiseLevel {
        self.0[0]
    }

    /// The level that sampling ends at.
    #[must_use]
    pub fn end(&self) -> NoiseLevel {
        self.0[self.0.len() - 1]
    }

    /// The steps, as pairs `(from, to)`.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (NoiseLevel, NoiseLevel)> + '_ {
        self.0.windows(2).map(|pair| (pair[0], pair[1]))
    }

    /// The sigma of every level.
    #[must_use]
    pub fn sigmas(&self) -> Vec<f64> {
        self.0.iter().map(|level| level.sigma).collect()
    }

    /// The same half log-SNRs at another scale.
    ///
    /// # Errors
    /// When the grid starts at pure noise, which has no variance-exploding level.
    pub fn on(&self, scale: Scale) -> Result<Self> {
        Self::from_levels(self.0.iter().map(|&level| scale.of(level)).collect())
    }
}

impl std::ops::Deref for Grid {
    type Target = [NoiseLevel];

    fn deref(&self) -> &[NoiseLevel] {
        &self.0
    }
}

impl TryFrom<Vec<NoiseLevel>> for Grid {
    type Error = Error;

    fn try_from(levels: Vec<NoiseLevel>) -> Result<Self> {
        Self::from_levels(levels)
    }
}

impl From<Grid> for Vec<NoiseLevel> {
    fn from(grid: Grid) -> Self {
        grid.0
    }
}

/// The grid of sigmas at the scale of `schedule`: of noise ratios, or for a flow of times, which is
/// how diffusers reads them.
pub(crate) fn own_scale(schedule: &Schedule, sigmas: Vec<f64>) -> Result<Grid> {
    if schedule.scale() != Scale::Flow {
        return Grid::from_ratios(schedule.scale(), sigmas);
    }
    if let Some(&most) = sigmas.first() {
        ensure(most <= 1.0, "sigma_max", most, "at most 1, the last time of a flow schedule")?;
    }
    Grid::from_levels(sigmas.into_iter().map(NoiseLevel::flow).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_falling_noise_is_a_grid() {
        for sigmas in
            [&[1.0][..], &[1.0, 1.0], &[1.0, 2.0], &[1.0, f64::NAN], &[f64::INFINITY, 1.0]]
        {
            assert!(Grid::from_sigmas(sigmas).is_err(), "{sigmas:?}");
        }
        assert!(Grid::from_sigmas(&[1.0, 0.0, 0.0]).is_err());
        let error = Grid::from_sigmas(&[1.0, 2.0]).unwrap_err().to_string();
        assert_eq!(
            error,
            "grid: level 1 has noise ratio 2 after 1, expected strictly falling noise"
        );
    }

    #[test]
    fn json_is_a_list_of_levels_and_is_checked() {
        let grid = Grid::from_levels(vec![NoiseLevel::flow(1.0), NoiseLevel::flow(0.0)]).unwrap();
        let json = serde_json::to_string(&grid).unwrap();
        assert_eq!(json, r#"[{"alpha":0.0,"sigma":1.0},{"alpha":1.0,"sigma":0.0}]"#);
        assert_eq!(serde_json::from_str::<Grid>(&json).unwrap(), grid);
        assert!(serde_json::from_str::<Grid>(r#"[{"alpha":1.0,"sigma":0.0}]"#).is_err());
        assert!(grid.on(Scale::Ve).is_err());
        assert_eq!(grid.on(Scale::Vp).unwrap(), grid);
    }
}
