//! From data to noise: DDIM inversion, and EDICT, which is exact.

use crate::Run;
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::{Denoiser, Error, Grid, Noise, NoiseLevel, Result};

/// DDIM inversion (arXiv:2105.05233, appendix F; diffusers' `DDIMInverseScheduler`): Euler's steps
/// up the grid, from its end to its start,
///
/// ```text
/// x'/alpha' = x/alpha + (s' − s)·eps(x; s')    with    s = sigma/alpha
/// ```
///
/// The noise estimate that undoes DDIM's step is that of `x'`, which is sought; that of `x` at the
/// level of `x'` stands for it. So a round trip through [`Euler`](crate::Euler) comes back up to
/// order 1. More `iterations` ask again at the `x'` that was found (a fixed-point iteration; it
/// converges where the estimates change slowly) and come nearer to the exact inverse.
///
/// ```
/// use tweedie_core::{Grid, Noise, closed_form::GaussianMixture};
/// use tweedie_samplers::{DdimInversion, Euler, Sampler};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let data = GaussianMixture::ring(8, 1.0, 0.2)?;
/// let sigmas: Vec<f64> = (0..=200).map(|i| 5.0 * 0.97f64.powi(i)).collect();
/// let grid = Grid::from_sigmas(&sigmas)?;
/// let x = tch::Tensor::from_slice(&[1.1, 0.1, -0.2, 0.9]).reshape([2, 2]);
/// let latent = DdimInversion { iterations: 5 }.invert(&data, x.copy(), &grid)?;
/// let back = Euler.sample(&data, latent, &grid, Noise::replay([]))?;
/// assert!((back - x).abs().max().double_value(&[]) < 1e-3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DdimInversion {
    /// Evaluations a step.
    pub iterations: usize,
}

impl Default for DdimInversion {
    /// One evaluation a step.
    fn default() -> Self {
        DdimInversion { iterations: 1 }
    }
}

impl DdimInversion {
    /// The state at the start of `grid` that belongs to `x`, `[batch, …]`, at its end.
    ///
    /// # Errors
    /// For no iterations, and what the denoiser refuses. A state that is not finite is an error
    /// that names the step, counted from the data, and the level that was asked at.
    pub fn invert(&self, denoiser: &dyn Denoiser, x: Tensor, grid: &Grid) -> Result<Tensor> {
        if self.iterations == 0 {
            return Err(Error::invalid("iterations", 0, "at least 1"));
        }
        let _guard = tch::no_grad_guard();
        let levels = rising(grid);
        let mut run = Run::along(denoiser, x, &levels, Noise::replay([]))?;
        let mut asked = None;
        while !run.is_done() {
            self.step(&mut run, &mut asked)?;
            run.finish_step()?;
        }
        Ok(run.into_x())
    }

    fn step(&self, run: &mut Run<'_>, asked: &mut Option<Tensor>) -> Result<()> {
        let (from, to) = (run.level(), run.next_level());
        let size = |level: NoiseLevel| level.alpha.hypot(level.sigma);
        // x' = keep·x + push·(x_asked − alpha'·x0) with x_asked/sigma' − alpha'/sigma'·x0 = eps
        let keep = to.alpha / from.alpha;
        let push = (to.sigma - to.alpha * from.ratio()) / to.sigma;
        run.combine(asked, &[(size(to) / size(from), run.x())])?;
        for _ in 1..self.iterations {
            let Some(x) = asked.take() else { break };
            let x0 = run.denoise_at(&x, to)?;
            run.combine(asked, &[(keep, run.x()), (push, &x), (-push * to.alpha, &x0)])?;
        }
        let Some(x) = &*asked else { return Ok(()) };
        let x0 = run.denoise_at(x, to)?;
        run.advance(keep, &[(push, x), (-push * to.alpha, &x0)], 0.0)
    }
}

/// The levels of a grid from its end to its start.
fn rising(grid: &Grid) -> Vec<NoiseLevel> {
    grid.levels().iter().rev().copied().collect()
}

/// Exact inversion by two coupled states (EDICT, arXiv:2211.12446): each step of DDIM for one state
/// takes the noise estimate of the other, and then they are mixed with weight `p`. Every line of
/// that can be undone, so [`decode`](Self::decode) after [`invert`](Self::invert) gives back the data
/// up to rounding, whatever the denoiser and the number of steps.
/// Of order 1, as DDIM; two evaluations a step in both directions.
///
/// ```text
/// x ← a·x + b·eps(y)        y ← a·y + b·eps(x)        x ← p·x + (1 − p)·y        y ← p·y + (1 − p)·x
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edict {
    /// How much of its own a state keeps when they are mixed, in (0, 1].
    pub p: f64,
}

impl Default for Edict {
    /// The paper's 0.93.
    fn default() -> Self {
        Edict { p: 0.93 }
    }
}

/// The two states of [`Edict`]. Both are estimates of one; `x` is the result.
#[derive(Debug)]
pub struct Coupled {
    /// The first, `[batch, …]`.
    pub x: Tensor,
    /// The second, of the same shape.
    pub y: Tensor,
}

impl Edict {
    /// The states at the start of `grid` that belong to `x`, `[batch, …]`, at its end, where the two
    /// are one.
    ///
    /// # Errors
    /// For a `p` outside (0, 1], a grid that starts at pure noise, which nothing leads back from,
    /// and what the denoiser refuses.
    pub fn invert(&self, denoiser: &dyn Denoiser, x: Tensor, grid: &Grid) -> Result<Coupled> {
        let levels = rising(grid);
        let y = x.copy();
        self.walk(denoiser, Coupled { x, y }, &levels, |run, y| {
            let (p, [a, b, c]) = (self.p, coefficients(run.next_level(), run.level())?);
            let level = run.next_level();
            run.update(y, 1.0 / p, &[(1.0 - 1.0 / p, run.x())])?;
            run.advance(1.0 / p, &[(1.0 - 1.0 / p, y)], 0.0)?;
            let x0 = run.denoise_at(run.x(), level)?;
            run.update(y, 1.0 / a, &[(-b / a, run.x()), (c / a, &x0)])?;
            let x0 = run.denoise_at(y, level)?;
            run.advance(1.0 / a, &[(-b / a, y), (c / a, &x0)], 0.0)
        })
    }

    /// The states at the end of `grid`, from those at its start.
    ///
    /// # Errors
    /// As [`invert`](Self::invert).
    pub fn decode(&self, denoiser: &dyn Denoiser, from: Coupled, grid: &Grid) -> Result<Coupled> {
        self.walk(denoiser, from, grid.levels(), |run, y| {
            let (p, [a, b, c]) = (self.p, coefficients(run.level(), run.next_level())?);
            let level = run.level();
            let x0 = run.denoise_at(y, level)?;
            run.advance(a, &[(b, y), (-c, &x0)], 0.0)?;
            let x0 = run.denoise_at(run.x(), level)?;
            run.update(y, a, &[(b, run.x()), (-c, &x0)])?;
            run.advance(p, &[(1.0 - p, y)], 0.0)?;
            run.update(y, p, &[(1.0 - p, run.x())])
        })
    }

    fn walk(
        &self,
        denoiser: &dyn Denoiser,
        Coupled { x, mut y }: Coupled,
        levels: &[NoiseLevel],
        mut step: impl FnMut(&mut Run<'_>, &mut Tensor) -> Result<()>,
    ) -> Result<Coupled> {
        if !(self.p > 0.0 && self.p <= 1.0) {
            return Err(Error::invalid("p", self.p, "a number in (0, 1]"));
        }
        let _guard = tch::no_grad_guard();
        let mut run = Run::along(denoiser, x, levels, Noise::replay([]))?;
        while !run.is_done() {
            step(&mut run, &mut y)?;
            run.finish_step()?;
        }
        Ok(Coupled { x: run.into_x(), y })
    }
}

/// DDIM's step `x' = a·x + b·y − c·x0(y)` from one level down to another, with the noise estimate
/// `(y − alpha·x0)/sigma`.
fn coefficients(from: NoiseLevel, to: NoiseLevel) -> Result<[f64; 3]> {
    if from.alpha == 0.0 {
        let why = "its data are lost, and no step leads back";
        return Err(Error::Level { what: "EDICT", level: from, why });
    }
    let a = to.alpha / from.alpha;
    let b = (to.sigma - a * from.sigma) / from.sigma;
    Ok([a, b, b * from.alpha])
}
