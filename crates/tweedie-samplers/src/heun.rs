//! Heun's method.

use crate::{Frame, Run, Sampler, Solver, euler::euler_step};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::{Grid, NoiseLevel, Result};

/// Heun's method on the probability-flow ODE: Algorithm 1 of EDM (arXiv:2206.00364).
/// Order 2, two evaluations a step; one (Euler's) for a step to no noise, and for a step from
/// `alpha = 0` in [`Frame::Ve`], where that frame has no start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Heun {
    /// The coordinates: EDM's by default.
    pub frame: Frame,
}

impl Sampler for Heun {
    fn solver(&self) -> Result<Solver> {
        let frame = self.frame;
        let mut scratch = None;
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            let from = run.level();
            heun_step(run, frame, [from, run.next_level()], &x0, &mut scratch)?;
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.pairs().map(|(from, to)| 1 + usize::from(self.frame.has_slopes(from, to))).sum()
    }
}

/// A step from `from`, the level that the state is at and has the estimate `x0` for, to `to`.
pub(crate) fn heun_step(
    run: &mut Run<'_>,
    frame: Frame,
    [from, to]: [NoiseLevel; 2],
    x0: &Tensor,
    scratch: &mut Option<Tensor>,
) -> Result<()> {
    if !frame.has_slopes(from, to) {
        return euler_step(run, x0);
    }
    let (k, k_to) = (frame.scale(from), frame.scale(to));
    let (s, s_to) = (frame.time(from), frame.time(to));
    // Euler: y' = (s'/s)·y + (1 − s'/s)·x0
    let keep = s_to / s;
    let euler = run.combine(scratch, &[(k / k_to * keep, run.x()), ((1.0 - keep) / k_to, x0)])?;
    let x0_to = run.denoise_at(euler, to)?;
    // y' = y + (s' − s)/2 · [(y − x0)/s + (y'ₑ − x0'ₑ)/s']
    let (half, half_to) = ((s_to - s) / (2.0 * s), (s_to - s) / (2.0 * s_to));
    run.advance(
        k / k_to * (1.0 + half),
        &[(-half / k_to, x0), (half_to, euler), (-half_to / k_to, &x0_to)],
        0.0,
    )
}
