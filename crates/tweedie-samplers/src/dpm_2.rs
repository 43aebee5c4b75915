//! k-diffusion's DPM-2.

use crate::runge_kutta::{self, Stages, Tableau};
use crate::{Frame, Run, Sampler, Solver, euler::euler_step};
use tch::Tensor;
use tweedie_core::{Grid, NoiseLevel, Result};

/// k-diffusion's `sample_dpm_2`: half a step of Euler to the geometric mean of the noise ratios,
/// then a whole step with the slope found there; a midpoint rule whose middle is that of lambda.
/// Order 2, two evaluations a step; one (Euler's) for a step to no noise or from `alpha = 0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dpm2;

impl Sampler for Dpm2 {
    fn solver(&self) -> Result<Solver> {
        let mut stages = Stages::default();
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            match has_middle(run.level(), run.next_level()) {
                true => step(run, &x0, &mut stages)?,
                false => euler_step(run, &x0)?,
            }
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.pairs().map(|(from, to)| 1 + usize::from(has_middle(from, to))).sum()
    }
}

fn has_middle(from: NoiseLevel, to: NoiseLevel) -> bool {
    Frame::Ve.has_slopes(from, to)
}

fn step(run: &mut Run<'_>, x0: &Tensor, stages: &mut Stages) -> Result<()> {
    let (s, s_to) = (run.level().ratio(), run.next_level().ratio());
    let c = ((s * s_to).sqrt() - s) / (s_to - s);
    let tableau = Tableau { c: &[0.0, c], a: &[&[], &[c]], b: &[0.0, 1.0] };
    runge_kutta::step(run, Frame::Ve, &tableau, x0, stages)
}
