//! Ancestral sampling with a second evaluation at the geometric mean of the noise.

use crate::{
    Run, Sampler, Solver,
    ancestral::{Amount, at_ratio, down_and_up, euler_down_up},
};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::{Grid, Result};

/// Ancestral sampling with DPM-Solver-2 steps (k-diffusion's `sample_dpm_2_ancestral`): down to the
/// lower level by the midpoint rule in `sigma/alpha`, with the midpoint at the geometric mean, then
/// up with fresh noise. Two evaluations a step, one to no noise. With `eta = 0` of order 2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dpm2Ancestral {
    /// Share of fresh noise: 0 is the ODE.
    pub eta: f64,
    /// Standard deviation of the noise.
    pub s_noise: f64,
}

impl Default for Dpm2Ancestral {
    /// k-diffusion's: `eta = 1`, `s_noise = 1`.
    fn default() -> Self {
        Dpm2Ancestral { eta: 1.0, s_noise: 1.0 }
    }
}

/// Ancestral sampling with DPM-Solver++(2S) steps (arXiv:2211.01095, Algorithm 1; k-diffusion's
/// `sample_dpmpp_2s_ancestral`): the same stages as [`Dpm2Ancestral`], with the estimate of the data
/// in place of the slope. Two evaluations a step, one to no noise. With `eta = 0` of order 2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmPp2SAncestral {
    /// Share of fresh noise: 0 is the ODE.
    pub eta: f64,
    /// Standard deviation of the noise.
    pub s_noise: f64,
}

impl Default for DpmPp2SAncestral {
    /// k-diffusion's: `eta = 1`, `s_noise = 1`.
    fn default() -> Self {
        DpmPp2SAncestral { eta: 1.0, s_noise: 1.0 }
    }
}

/// Whether a step has a midpoint: `λ` of both its ends is finite.
fn has_middle(s: f64, down: f64) -> bool {
    s.is_finite() && down > 0.0
}

fn two_stages(
    run: &mut Run<'_>,
    Amount { eta, s_noise }: Amount,
    scratch: &mut Option<Tensor>,
    last_stage: impl Fn(&mut Run<'_>, f64, f64, &Tensor, &Tensor) -> Result<()>,
) -> Result<Tensor> {
    let x0 = run.denoise()?;
    let (from, to) = (run.level(), run.next_level());
    let s = from.ratio();
    let (down, up) = down_and_up(s, to.ratio(), eta);
    if !has_middle(s, down) {
        euler_down_up(run, &x0, down, s_noise * up)?;
        return Ok(x0);
    }
    let middle = at_ratio(to, (s * down).sqrt());
    let keep = middle.sigma / from.sigma;
    let x_middle =
        run.combine(scratch, &[(keep, run.x()), (middle.alpha - keep * from.alpha, &x0)])?;
    let x0_middle = run.denoise_at(x_middle, middle)?;
    last_stage(run, down, s_noise * up, x_middle, &x0_middle)?;
    Ok(x0)
}

fn evaluations(grid: &Grid, eta: f64) -> usize {
    let calls = |s: f64, to: f64| 1 + usize::from(has_middle(s, down_and_up(s, to, eta).0));
    grid.pairs().map(|(from, to)| calls(from.ratio(), to.ratio())).sum()
}

impl Sampler for Dpm2Ancestral {
    fn solver(&self) -> Result<Solver> {
        let amount = Amount { eta: self.eta, s_noise: self.s_noise }.check()?;
        let mut scratch = None;
        Ok(Box::new(move |run| {
            two_stages(run, amount, &mut scratch, |run, down, up, x_middle, x0_middle| {
                // y' = y + (s_down − s)·(y_m − x0_m)/s_m + up·z
                let (from, to) = (run.level(), run.next_level());
                let slope = (down - from.ratio()) / (from.ratio() * down).sqrt();
                let terms = [(slope, x_middle), (-slope * to.alpha, x0_middle)];
                run.advance(to.alpha / from.alpha, &terms, to.alpha * up)
            })
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        evaluations(grid, self.eta)
    }
}

impl Sampler for DpmPp2SAncestral {
    fn solver(&self) -> Result<Solver> {
        let amount = Amount { eta: self.eta, s_noise: self.s_noise }.check()?;
        let mut scratch = None;
        Ok(Box::new(move |run| {
            two_stages(run, amount, &mut scratch, |run, down, up, _, x0_middle| {
                // Euler's step, by the estimate of the middle.
                euler_down_up(run, x0_middle, down, up)
            })
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        evaluations(grid, self.eta)
    }
}
