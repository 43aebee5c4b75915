//! Sigmas whose logarithm is a line or a power of one.

use super::Grid;
use super::karras::{check_sigmas, exact_ends};
use crate::error::{Result, positive};
use crate::level::Scale;
use crate::numeric::linspace;

/// `steps` sigmas in geometric progression from `sigma_max` to `sigma_min`, then clean data
/// (k-diffusion's `get_sigmas_exponential`): [`PolyExponential`] with `rho = 1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exponential {
    /// The last sigma before 0.
    pub sigma_min: f64,
    /// The first sigma.
    pub sigma_max: f64,
}

/// `ln sigma = ln sigma_min + r^rho (ln sigma_max − ln sigma_min)` for `steps` values of `r` from
/// 1 to 0, then clean data (k-diffusion's `get_sigmas_polyexponential`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PolyExponential {
    /// The last sigma before 0.
    pub sigma_min: f64,
    /// The first sigma.
    pub sigma_max: f64,
    /// Above 1 the steps crowd at little noise; 1 is [`Exponential`].
    pub rho: f64,
}

impl Exponential {
    /// The grid of `steps` steps, variance exploding.
    ///
    /// # Errors
    /// Unless `steps ≥ 1` and `0 < sigma_min < sigma_max`.
    pub fn grid(&self, steps: usize) -> Result<Grid> {
        Grid::from_ratios(Scale::Ve, self.sigmas(steps)?)
    }

    pub(crate) fn sigmas(&self, steps: usize) -> Result<Vec<f64>> {
        let Self { sigma_min, sigma_max } = *self;
        PolyExponential { sigma_min, sigma_max, rho: 1.0 }.sigmas(steps)
    }
}

impl PolyExponential {
    /// The grid of `steps` steps, variance exploding.
    ///
    /// # Errors
    /// Unless `steps ≥ 1`, `0 < sigma_min < sigma_max` and `rho > 0`, and where `rho` is so large
    /// that neighbours are equal.
    pub fn grid(&self, steps: usize) -> Result<Grid> {
        Grid::from_ratios(Scale::Ve, self.sigmas(steps)?)
    }

    pub(crate) fn sigmas(&self, steps: usize) -> Result<Vec<f64>> {
        let Self { sigma_min, sigma_max, rho } = *self;
        check_sigmas(steps, sigma_min, sigma_max)?;
        positive("rho", rho)?;
        let rise = sigma_max.ln() - sigma_min.ln();
        let sigma = |r: f64| (r.powf(rho) * rise + sigma_min.ln()).exp();
        let mut sigmas: Vec<f64> = linspace(1.0, 0.0, steps).map(sigma).collect();
        exact_ends(&mut sigmas, sigma_min, sigma_max);
        Ok(sigmas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_by_hand() {
        let grid = Exponential { sigma_min: 0.01, sigma_max: 100.0 }.grid(5).unwrap();
        for (sigma, expected) in grid.sigmas().iter().zip([100.0, 10.0, 1.0, 0.1, 0.01, 0.0]) {
            assert!((sigma - expected).abs() <= 1e-14 * expected);
        }
        let poly = PolyExponential { sigma_min: 0.01, sigma_max: 100.0, rho: 2.0 };
        let half = poly.grid(3).unwrap()[1].sigma;
        assert!((half - 0.1).abs() < 1e-15);
    }
}
