//! DPM-Solver++ for the reverse SDE, one evaluation a step and a memory of the last ones.

use crate::dpm_pp_multi::{SecondOrder, second_order};
use crate::multistep::{noisy_x0_step, paced_weights};
use crate::{Run, Sampler, Solver, ancestral::Amount, history::History};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::{Grid, Result};

/// How [`DpmPp2MSde`] uses the last estimate. Both are of order 2 without noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SolverType {
    /// The estimate at the middle of the step, all along.
    #[default]
    Midpoint,
    /// The line through both estimates, integrated exactly.
    Heun,
}

/// DPM-Solver++(2M) for SDEs (arXiv:2211.01095, §5; k-diffusion's `sample_dpmpp_2m_sde`).
/// One evaluation a step. With `eta = 0` it is DPM-Solver++(2M), of order 2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmPp2MSde {
    /// Share of fresh noise: 0 is the ODE, 1 the reverse SDE.
    pub eta: f64,
    /// Standard deviation of the noise.
    pub s_noise: f64,
    /// How the last estimate is used.
    pub solver_type: SolverType,
}

impl Default for DpmPp2MSde {
    /// k-diffusion's: `eta = 1`, `s_noise = 1`, midpoint.
    fn default() -> Self {
        DpmPp2MSde { eta: 1.0, s_noise: 1.0, solver_type: SolverType::default() }
    }
}

/// DPM-Solver++(3M) for SDEs (k-diffusion's `sample_dpmpp_3m_sde`): as [`DpmPp2MSde`] with a parabola
/// through the last three estimates, integrated exactly. One evaluation a step; of order 3 with
/// `eta = 0`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmPp3MSde {
    /// Share of fresh noise: 0 is the ODE, 1 the reverse SDE.
    pub eta: f64,
    /// Standard deviation of the noise.
    pub s_noise: f64,
    /// Compatibility with k-diffusion, which takes half of the second difference, where Taylor's
    /// formula has it whole: with the half it is of order 2.
    pub half_difference: bool,
}

impl Default for DpmPp3MSde {
    /// k-diffusion's but for its second difference: `eta = 1`, `s_noise = 1`.
    fn default() -> Self {
        DpmPp3MSde { eta: 1.0, s_noise: 1.0, half_difference: false }
    }
}

/// What both share: `x'/alpha' = (s'/s)·e^(−ηh)·x/alpha + (1 − e^(−(1+η)h))·x0 + Σ wⱼ·(x0ⱼ − x0) +
/// s'·√(1 − e^(−2ηh))·z`, with `h` the step in `λ` and weighted past estimates.
fn exponential_step(
    run: &mut Run<'_>,
    Amount { eta, s_noise }: Amount,
    x0: &Tensor,
    past: &[(f64, &Tensor)],
) -> Result<()> {
    let (from, to) = (run.level(), run.next_level());
    // e^(−ηh), which is 0^η from pure noise.
    let shrink = (to.ratio() / from.ratio()).powf(eta);
    let noise = s_noise * to.sigma * (1.0 - shrink.powi(2)).max(0.0).sqrt();
    noisy_x0_step(run, to.sigma / from.sigma * shrink, x0, past, noise)
}

impl From<SolverType> for SecondOrder {
    fn from(solver_type: SolverType) -> Self {
        match solver_type {
            SolverType::Midpoint => SecondOrder::Midpoint,
            SolverType::Heun => SecondOrder::Exact,
        }
    }
}

impl Sampler for DpmPp2MSde {
    fn solver(&self) -> Result<Solver> {
        let amount = Amount { eta: self.eta, s_noise: self.s_noise }.check()?;
        let form = self.solver_type.into();
        let mut past = History::new(1);
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            let weights = second_order(form, 1.0 + amount.eta, run, past.levels());
            exponential_step(run, amount, &x0, &past.weighted(&weights))?;
            past.push(run.level(), &x0);
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}

impl Sampler for DpmPp3MSde {
    fn solver(&self) -> Result<Solver> {
        let amount = Amount { eta: self.eta, s_noise: self.s_noise }.check()?;
        let half_difference = self.half_difference;
        let mut past = History::new(2);
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            let (from, to) = (run.level(), run.next_level());
            let levels = past.levels().take_while(|level| level.alpha > 0.0);
            let weights = paced_weights(from, to, levels, 1.0 + amount.eta, half_difference);
            exponential_step(run, amount, &x0, &past.weighted(&weights))?;
            past.push(run.level(), &x0);
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}
