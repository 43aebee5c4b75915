//! DPM-Solver.

use crate::integrals::{Weight, lagrange};
use crate::multistep::{check_order, eps_step, eps_terms, has_lambdas};
use crate::{Run, Sampler, Solver, frame::between};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::{Grid, NoiseLevel, Result};

/// DPM-Solver-1, -2 and -3 (arXiv:2206.00927), single-step: exponential Runge–Kutta methods on the
/// noise estimate as a function of lambda. Order 1 is Euler's method (DDIM).
/// As many evaluations a step as its order; one (order 1) for a step to no noise or from
/// `alpha = 0`, where lambda is infinite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmSolver {
    /// From 1 to 3.
    pub order: usize,
}

impl Default for DpmSolver {
    fn default() -> Self {
        DpmSolver { order: 3 }
    }
}

impl Sampler for DpmSolver {
    fn solver(&self) -> Result<Solver> {
        check_order(self.order, 3)?;
        let order = self.order;
        let mut buffers = Buffers::default();
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            match if has_lambdas(run.level(), run.next_level()) { order } else { 1 } {
                1 => eps_step(run, &x0, &[])?,
                2 => second(run, &x0, &mut buffers)?,
                _ => third(run, &x0, &mut buffers)?,
            }
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.pairs().map(|(from, to)| if has_lambdas(from, to) { self.order } else { 1 }).sum()
    }
}

#[derive(Default)]
struct Buffers {
    u: Option<Tensor>,
    eps: [Option<Tensor>; 2],
}

/// Algorithm 1 with its `r₁ = ½`. Its last line is `x/alpha + (rho' − rho)·[eps + (eps₁ − eps)/2r₁]`.
fn second(run: &mut Run<'_>, x0: &Tensor, buffers: &mut Buffers) -> Result<()> {
    const R1: f64 = 0.5;
    let (from, to) = (run.level(), run.next_level());
    let Buffers { u, eps: [eps1, _] } = buffers;
    let eps1 = ask(run, x0, R1, &[], u, eps1)?;
    eps_step(run, x0, &[((to.ratio() - from.ratio()) / (2.0 * R1), eps1)])
}

/// Algorithm 2 with its `r₁ = ⅓`, `r₂ = ⅔`: each line integrates the straight line (in lambda)
/// through the first estimate and the latest.
fn third(run: &mut Run<'_>, x0: &Tensor, buffers: &mut Buffers) -> Result<()> {
    const R: [f64; 2] = [1.0 / 3.0, 2.0 / 3.0];
    let (from, to) = (run.level(), run.next_level());
    let h = to.lambda() - from.lambda();
    let line =
        |r: f64, end: f64| -from.ratio() * lagrange(Weight::Falling, end * h, &[0.0, r * h])[1];
    let Buffers { u, eps: [eps1, eps2] } = buffers;
    let eps1 = ask(run, x0, R[0], &[], u, eps1)?;
    let eps2 = ask(run, x0, R[1], &[(line(R[0], R[1]), eps1)], u, eps2)?;
    eps_step(run, x0, &[(line(R[1], 1.0), eps2)])
}

/// The noise estimate at the share `r` of the step in lambda, where `past` corrects Euler's way.
fn ask<'b>(
    run: &Run<'_>,
    x0: &Tensor,
    r: f64,
    past: &[(f64, &Tensor)],
    u: &mut Option<Tensor>,
    eps: &'b mut Option<Tensor>,
) -> Result<&'b Tensor> {
    let (from, to) = (run.level(), run.next_level());
    let middle = at_share(from, to, r);
    let (keep, mut terms) = eps_terms(from, middle, x0, past);
    terms.push((keep, run.x()));
    let u = run.combine(u, &terms)?;
    let x0 = run.denoise_at(u, middle)?;
    let NoiseLevel { alpha, sigma } = middle;
    run.combine(eps, &[(1.0 / sigma, u), (-alpha / sigma, &x0)])
}

/// The level at `lambda + r·(lambda' − lambda)`.
pub(crate) fn at_share(from: NoiseLevel, to: NoiseLevel, r: f64) -> NoiseLevel {
    between(from, to, from.ratio().powf(1.0 - r) * to.ratio().powf(r))
}
