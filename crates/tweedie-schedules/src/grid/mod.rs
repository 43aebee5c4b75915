//! Time grids: the levels that a sampler visits, most noise first.
//!
//! A rule for making one ([`Karras`], [`Exponential`], …) is a value with a method
//! `grid(steps)`, or `grid(&schedule, steps)` where it picks from a table.

mod karras;

use serde::{Deserialize, Serialize};

pub use karras::Karras;

use crate::error::{Error, MAX_LEVELS, Result, argument};
use crate::level::{NoiseLevel, Scale};

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
