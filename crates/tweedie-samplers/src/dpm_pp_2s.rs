//! DPM-Solver++ 2S.

use crate::multistep::{has_lambdas, x0_step};
use crate::{Run, Sampler, Solver, dpm_solver::at_share};
use tch::Tensor;
use tweedie_core::{Grid, Result};

/// DPM-Solver++(2S) (arXiv:2211.01095, Algorithm 1 with `r = ½`): half a step in lambda, then a
/// whole step with the data estimate found there.
/// Order 2, two evaluations a step; one (Euler's) for a step to no noise or from `alpha = 0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DpmPp2S;

impl Sampler for DpmPp2S {
    fn solver(&self) -> Result<Solver> {
        let mut u = None;
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            match has_lambdas(run.level(), run.next_level()) {
                true => step(run, &x0, &mut u)?,
                false => x0_step(run, &x0, &[])?,
            }
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.pairs().map(|(from, to)| 1 + usize::from(has_lambdas(from, to))).sum()
    }
}

fn step(run: &mut Run<'_>, x0: &Tensor, u: &mut Option<Tensor>) -> Result<()> {
    let (from, to) = (run.level(), run.next_level());
    let middle = at_share(from, to, 0.5);
    let keep = middle.sigma / from.sigma;
    let u = run.combine(u, &[(keep, run.x()), (middle.alpha - keep * from.alpha, x0)])?;
    let x0_middle = run.denoise_at(u, middle)?;
    // With r = ½ the first estimate has no part in D (line 6).
    let keep = to.sigma / from.sigma;
    run.advance(keep, &[(to.alpha - keep * from.alpha, &x0_middle)], 0.0)
}
