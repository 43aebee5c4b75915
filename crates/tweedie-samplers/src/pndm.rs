//! PNDM, PLMS and iPNDM.

use crate::integrals::{Weight, lagrange};
use crate::multistep::{check_order, past_used, remembering_eps_step};
use crate::rk4::{rk4_calls, rk4_step};
use crate::{Frame, Run, Sampler, Solver, heun::heun_step, history::History, runge_kutta::Stages};
use serde::{Deserialize, Serialize};
use tweedie_core::{Grid, NoiseLevel, Result};

/// PNDM (arXiv:2202.09778): the noise estimate by the Adams–Bashforth formula for equal steps
/// (eq. 12), the state by DDIM's transfer (eq. 11).
///
/// Order 2 in general, and 4 on grids of equal steps in `rho = sigma/alpha`: the formula takes the
/// steps to be equal, the transfer does not. One evaluation a step besides the start's.
/// Steps to no noise and from `alpha = 0` are Euler's at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pndm {
    /// How it begins.
    pub start: Start,
}

/// How a [`Pndm`] comes by its first estimates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// Three steps of the pseudo Runge–Kutta method (eq. 13), four evaluations each. The middle
    /// of a step is that of rho, which makes it the classical method.
    #[default]
    RungeKutta,
    /// One step of the pseudo improved Euler method (Heun's), two evaluations, then the lower
    /// orders: PLMS of latent diffusion, diffusers' `skip_prk_steps`.
    Heun,
}

impl Sampler for Pndm {
    fn solver(&self) -> Result<Solver> {
        let start = self.start;
        let (mut past, mut stages, mut scratch) = (History::new(3), Stages::default(), None);
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            let level = run.level();
            if !starting(start, run.index()) {
                let weights = equal_step_weights(run, past.len());
                remembering_eps_step(run, &x0, &mut past, &weights)?;
                return Ok(x0);
            }
            past.prepare_eps(run, &x0)?;
            match start {
                Start::RungeKutta => rk4_step(run, Frame::Ve, &x0, &mut stages)?,
                Start::Heun => {
                    heun_step(run, Frame::Ve, [level, run.next_level()], &x0, &mut scratch)?;
                }
            }
            past.push_prepared(level);
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        let calls = |(i, (from, to)): (usize, (NoiseLevel, NoiseLevel))| match self.start {
            start if !starting(start, i) => 1,
            Start::RungeKutta => rk4_calls(Frame::Ve, from, to),
            Start::Heun => 1 + usize::from(Frame::Ve.has_slopes(from, to)),
        };
        grid.pairs().enumerate().map(calls).sum()
    }
}

fn starting(start: Start, step: usize) -> bool {
    match start {
        Start::RungeKutta => step < 3,
        Start::Heun => step < 1,
    }
}

/// `(rho' − rho)·bⱼ` with the coefficients of Adams and Bashforth for equal steps.
fn equal_step_weights(run: &Run<'_>, past: usize) -> Vec<f64> {
    let length = run.next_level().ratio() - run.level().ratio();
    if !length.is_finite() {
        return Vec::new();
    }
    let nodes: Vec<f64> = (0..=past).map(|j| -(j as f64)).collect();
    lagrange(Weight::Flat, 1.0, &nodes)[1..].iter().map(|b| length * b).collect()
}

/// iPNDM (arXiv:2204.13902, Appendix H.2): [`Pndm`] that begins with the lower orders.
/// Order 2 in general, see there. One evaluation a step; a step from `alpha = 0` is Euler's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ipndm {
    /// How many estimates the formula uses: from 1 to 4.
    pub order: usize,
}

impl Default for Ipndm {
    fn default() -> Self {
        Ipndm { order: 4 }
    }
}

impl Sampler for Ipndm {
    fn solver(&self) -> Result<Solver> {
        check_order(self.order, 4)?;
        let order = self.order;
        let mut past = History::new(order - 1);
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            let used = past_used(run, order, past.len(), false);
            let weights = equal_step_weights(run, used);
            remembering_eps_step(run, &x0, &mut past, &weights)?;
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}
