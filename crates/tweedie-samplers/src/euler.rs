//! Euler's method.

use crate::{Run, Sampler, Solver};
use tch::Tensor;
use tweedie_core::{Grid, Result};

/// Euler's method on the probability-flow ODE, which is DDIM (arXiv:2010.02502, eq. 12 with
/// η = 0): keep the estimates of data and noise, change their shares.
/// Order 1, one evaluation a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Euler;

impl Sampler for Euler {
    fn solver(&self) -> Result<Solver> {
        Ok(Box::new(|run| {
            let x0 = run.denoise()?;
            euler_step(run, &x0)?;
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}

/// `x' = alpha'·x0 + sigma'·eps` with `eps = (x − alpha·x0) / sigma`.
pub(crate) fn euler_step(run: &mut Run<'_>, x0: &Tensor) -> Result<()> {
    let (from, to) = (run.level(), run.next_level());
    let keep = to.sigma / from.sigma;
    run.advance(keep, &[(to.alpha - keep * from.alpha, x0)], 0.0)
}
