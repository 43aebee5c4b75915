//! Equal steps of the half log-SNR.

use super::Grid;
use crate::error::{Result, count, rising};
use crate::level::Scale;
use crate::numeric::linspace;

/// `steps + 1` levels with `lambda` in a line from `lambda_min` (most noise) to `lambda_max`,
/// where it ends: no clean level, as DPM-Solver's `logSNR` (arXiv:2206.00927, sec. 4).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UniformLambda {
    /// Half log-SNR at the start, the least.
    pub lambda_min: f64,
    /// Half log-SNR at the end, the largest.
    pub lambda_max: f64,
}

impl UniformLambda {
    /// The grid of `steps` steps, variance exploding.
    ///
    /// # Errors
    /// Unless `steps ≥ 1`, `lambda_min < lambda_max`, both finite and their noise too.
    pub fn grid(&self, steps: usize) -> Result<Grid> {
        count("steps", steps, 1)?;
        rising(("lambda_min", self.lambda_min), ("lambda_max", self.lambda_max))?;
        let lambdas = linspace(self.lambda_min, self.lambda_max, steps + 1);
        Grid::from_ratios(Scale::Ve, lambdas.map(|lambda| (-lambda).exp()))
    }
}
