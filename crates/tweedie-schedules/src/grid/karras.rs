//! Karras et al.: sigma is a power of a line.

use serde::{Deserialize, Serialize};

use super::Grid;
use crate::error::{Result, count, ensure, positive, rising};
use crate::level::Scale;
use crate::numeric::linspace;

/// `sigma_i = (sigma_max^(1/rho) + i/(steps−1) (sigma_min^(1/rho) − sigma_max^(1/rho)))^rho`
/// for `i = 0 … steps−1`, then clean data (arXiv:2206.00364, eq. 5).
///
/// One step goes from `sigma_max` to clean data.
///
/// ```
/// use tweedie_schedules::Karras;
///
/// let grid = Karras::default().grid(10)?;
/// assert_eq!((grid.steps(), grid.start().sigma), (10, 80.0));
/// assert!(grid.end().is_clean());
/// # Ok::<(), tweedie_schedules::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Karras {
    /// The last sigma before 0; the paper's is 0.002.
    pub sigma_min: f64,
    /// The first sigma; the paper's is 80.
    pub sigma_max: f64,
    /// How much shorter the steps are at little noise; the paper's is 7, and 1 gives equal steps.
    pub rho: f64,
}

impl Default for Karras {
    fn default() -> Self {
        Self { sigma_min: 0.002, sigma_max: 80.0, rho: 7.0 }
    }
}

impl Karras {
    /// The grid of `steps` steps, variance exploding.
    ///
    /// # Errors
    /// Unless `steps ≥ 1`, `0 < sigma_min < sigma_max` and `rho > 0`.
    pub fn grid(&self, steps: usize) -> Result<Grid> {
        count("steps", steps, 1)?;
        positive("sigma_min", self.sigma_min)?;
        rising(("sigma_min", self.sigma_min), ("sigma_max", self.sigma_max))?;
        ensure(self.rho.is_finite() && self.rho > 0.0, "rho", self.rho, "a finite number above 0")?;
        let [min, max] = [self.sigma_min, self.sigma_max].map(|s| s.powf(1.0 / self.rho));
        let inner = linspace(max, min, steps).map(|root| root.powf(self.rho));
        Grid::from_ratios(Scale::Ve, inner.chain([0.0]))
    }
}
