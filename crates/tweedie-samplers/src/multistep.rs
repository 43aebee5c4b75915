//! One step of a multistep solver: Euler's, corrected by what past estimates say of the slope.

use crate::integrals::{self, Weight};
use crate::{Run, history::History};
use tch::Tensor;
use tweedie_core::{Error, NoiseLevel, Result};

/// `x' = (sigma'/sigma)·x + alpha'·[(1 − e^{−h})·x0 + Σ wⱼ·(x0ⱼ − x0)]`: past estimates of the data
/// with the weights that their polynomials have in DPM-Solver++'s integral (arXiv:2211.01095,
/// eq. 8). Without any it is Euler's step.
pub(crate) fn x0_step(run: &mut Run<'_>, x0: &Tensor, past: &[(f64, &Tensor)]) -> Result<()> {
    noisy_x0_step(run, run.next_level().sigma / run.level().sigma, x0, past, 0.0)
}

/// The same with another factor `keep` of the state, and noise of standard deviation `noise`.
pub(crate) fn noisy_x0_step(
    run: &mut Run<'_>,
    keep: f64,
    x0: &Tensor,
    past: &[(f64, &Tensor)],
    noise: f64,
) -> Result<()> {
    let (from, to) = (run.level(), run.next_level());
    let sum: f64 = past.iter().map(|(w, _)| w).sum();
    let first = (to.alpha - keep * from.alpha - to.alpha * sum, x0);
    let rest = past.iter().map(|(w, estimate)| (to.alpha * w, *estimate));
    let terms: Vec<_> = [first].into_iter().chain(rest).collect();
    run.advance(keep, &terms, noise)
}

/// `x'/alpha' = x/alpha + (rho' − rho)·eps + Σ wⱼ·(epsⱼ − eps)` with `rho = sigma/alpha`: past
/// estimates of the noise with the weights that their polynomials have in `∫ eps d rho` (DEIS,
/// arXiv:2204.13902, eq. 15). Without any it is Euler's step.
pub(crate) fn eps_step(run: &mut Run<'_>, x0: &Tensor, past: &[(f64, &Tensor)]) -> Result<()> {
    let (keep, terms) = eps_terms(run.level(), run.next_level(), x0, past);
    run.advance(keep, &terms, 0.0)
}

/// The factor of `x` and the other terms of [`eps_step`] between any two levels; the present
/// estimate is written out as `(x − alpha·x0)/sigma`.
pub(crate) fn eps_terms<'t>(
    from: NoiseLevel,
    to: NoiseLevel,
    x0: &'t Tensor,
    past: &[(f64, &'t Tensor)],
) -> (f64, Vec<(f64, &'t Tensor)>) {
    let sum: f64 = past.iter().map(|(w, _)| w).sum();
    let keep = (to.sigma - to.alpha * sum) / from.sigma;
    let first = (to.alpha - keep * from.alpha, x0);
    let rest = past.iter().map(|(w, estimate)| (to.alpha * w, *estimate));
    (keep, [first].into_iter().chain(rest).collect())
}

/// The weights for [`x0_step`] of estimates at `past` levels, exact for polynomials in lambda.
/// None for a step to no noise, where they have no limit, or from none of the data.
pub(crate) fn x0_weights(
    from: NoiseLevel,
    to: NoiseLevel,
    past: impl Iterator<Item = NoiseLevel>,
) -> Vec<f64> {
    paced_weights(from, to, past, 1.0, false)
}

/// The same where the state is forgotten `pace` times as fast, as by the reverse SDE; with
/// `half_difference` the term of second order is halved.
pub(crate) fn paced_weights(
    from: NoiseLevel,
    to: NoiseLevel,
    past: impl Iterator<Item = NoiseLevel>,
    pace: f64,
    half_difference: bool,
) -> Vec<f64> {
    if !has_lambdas(from, to) {
        return Vec::new();
    }
    let time = |level: NoiseLevel| pace * (level.lambda() - from.lambda());
    let nodes: Vec<f64> = [0.0].into_iter().chain(past.map(time)).collect();
    let mut moments = integrals::moments(Weight::Rising, time(to), nodes.len());
    if half_difference {
        moments.iter_mut().skip(2).for_each(|m| *m /= 2.0);
    }
    integrals::lagrange_of(&moments, &nodes).split_off(1)
}

/// Whether lambda is finite at both ends.
pub(crate) fn has_lambdas(from: NoiseLevel, to: NoiseLevel) -> bool {
    from.alpha > 0.0 && to.sigma > 0.0
}

/// A step through the present and past noise estimates, which are remembered. `weights` are those
/// of the past ones.
pub(crate) fn remembering_eps_step(
    run: &mut Run<'_>,
    x0: &Tensor,
    past: &mut History,
    weights: &[f64],
) -> Result<()> {
    let level = run.level();
    past.prepare_eps(run, x0)?;
    eps_step(run, x0, &past.weighted(weights))?;
    past.push_prepared(level);
    Ok(())
}

/// How many past estimates a step of `order` uses: those there are. With `lower_order_final` the
/// order falls to 1 towards the end of the run.
pub(crate) fn past_used(
    run: &Run<'_>,
    order: usize,
    past: usize,
    lower_order_final: bool,
) -> usize {
    let left = if lower_order_final { run.remaining() } else { order };
    (order.min(left).max(1) - 1).min(past)
}

pub(crate) fn check_order(order: usize, most: usize) -> Result<()> {
    if (1..=most).contains(&order) {
        return Ok(());
    }
    Err(Error::invalid("order", order, format!("from 1 to {most}")))
}
