//! CFG++.

use super::{Branches, guide};
use crate::{Denoiser, Error, Grid, Result};
use tch::Tensor;
use tweedie_schedules::NoiseLevel;

/// CFG++ (arXiv:2406.08070, Algorithm 2): the guided estimate of the data, between the branches, but
/// the noise estimate of the unconditional branch, so that a step stays on the manifold.
///
/// ```text
/// x' = alpha'·x0 + sigma'·eps_weak    with    x0 = weak + scale·(strong − weak)
/// ```
///
/// A sampler here sees one estimate and takes the noise from it, `eps = (x − alpha·x0)/sigma`. Both
/// together are the step above where that estimate is
///
/// ```text
/// weak + scale / (1 − r'/r)·(strong − weak)    with    r = sigma/alpha
/// ```
///
/// so CFG++ is guidance whose scale depends on the step. So this denoiser knows
/// the grid. With `Euler` (or DDIM) it is the paper's algorithm to rounding; other samplers follow
/// the same schedule of scales, as their implementations with CFG++ do in spirit, not to the digit.
/// Where a sampler asks between levels, the step is the one to the next level of the grid.
///
/// The scale lies in [0, 1]. 1 is *not* off: the noise is still the unconditional branch's.
#[derive(Clone, Debug)]
pub struct CfgPlusPlus<B> {
    branches: B,
    scale: f64,
    ratios: Vec<f64>,
}

impl<B: Branches> CfgPlusPlus<B> {
    /// CFG++ for a run along `grid`.
    ///
    /// # Errors
    /// For a scale outside [0, 1].
    pub fn new(branches: B, scale: f64, grid: &Grid) -> Result<Self> {
        if !(0.0..=1.0).contains(&scale) {
            return Err(Error::invalid("the scale of CFG++", scale, "a number in [0, 1]"));
        }
        let ratios = grid.levels().iter().map(|l| l.ratio()).collect();
        Ok(CfgPlusPlus { branches, scale, ratios })
    }

    /// The scale of ordinary guidance that stands for CFG++ in the step from `level`.
    pub fn scale_at(&self, level: NoiseLevel) -> f64 {
        // A sampler that asks at a level of the grid may have rounded it.
        let ratio = level.ratio();
        let next = self.ratios.iter().copied().find(|r| *r < ratio * (1.0 - 1e-9));
        let share = if ratio.is_finite() { next.unwrap_or(0.0) / ratio } else { 0.0 };
        self.scale / (1.0 - share)
    }
}

impl<B: Branches> Denoiser for CfgPlusPlus<B> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        guide(&self.branches, x, level, self.scale_at(level))
    }
}
