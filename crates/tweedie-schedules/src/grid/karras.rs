//! Karras et al.: sigma is a power of a line.

use super::Grid;
use crate::error::{Result, count, positive, rising};
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
#[derive(Debug, Clone, Copy, PartialEq)]
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
        Grid::from_ratios(Scale::Ve, self.sigmas(steps)?)
    }

    /// The sigmas of the grid, `steps + 1` of them.
    pub(crate) fn sigmas(&self, steps: usize) -> Result<Vec<f64>> {
        let Self { sigma_min, sigma_max, rho } = *self;
        check_sigmas(steps, sigma_min, sigma_max)?;
        positive("rho", rho)?;
        let [min, max] = [sigma_min, sigma_max].map(|sigma| sigma.powf(1.0 / rho));
        let mut sigmas: Vec<f64> = linspace(max, min, steps).map(|root| root.powf(rho)).collect();
        exact_ends(&mut sigmas, sigma_min, sigma_max);
        Ok(sigmas)
    }
}

/// `steps ≥ 1` and `0 < sigma_min < sigma_max`.
pub(super) fn check_sigmas(steps: usize, sigma_min: f64, sigma_max: f64) -> Result<()> {
    count("steps", steps, 1)?;
    positive("sigma_min", sigma_min)?;
    rising(("sigma_min", sigma_min), ("sigma_max", sigma_max))
}

/// Undoes the rounding of powers and logarithms at both ends, and appends clean data.
pub(super) fn exact_ends(sigmas: &mut Vec<f64>, sigma_min: f64, sigma_max: f64) {
    if let Some(last) = sigmas.last_mut() {
        *last = sigma_min;
    }
    if let Some(first) = sigmas.first_mut() {
        *first = sigma_max;
    }
    sigmas.push(0.0);
}
