//! The classical Runge–Kutta method.

use crate::runge_kutta::{self, Stages, Tableau};
use crate::{Frame, Run, Sampler, Solver, euler::euler_step};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::{Grid, NoiseLevel, Result};

/// The classical fourth-order method (Kutta 1901) on the probability-flow ODE.
/// Order 4, four evaluations a step; one (Euler's) for a step to no noise, where the last slope
/// does not exist, and from `alpha = 0` in [`Frame::Ve`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rk4 {
    /// The coordinates: EDM's by default.
    pub frame: Frame,
}

const TABLEAU: Tableau<'_> = Tableau {
    c: &[0.0, 0.5, 0.5, 1.0],
    a: &[&[], &[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0]],
    b: &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
};

impl Sampler for Rk4 {
    fn solver(&self) -> Result<Solver> {
        let frame = self.frame;
        let mut stages = Stages::default();
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            rk4_step(run, frame, &x0, &mut stages)?;
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.pairs().map(|(from, to)| rk4_calls(self.frame, from, to)).sum()
    }
}

/// How often [`rk4_step`] asks the denoiser, the first time included.
pub(crate) fn rk4_calls(frame: Frame, from: NoiseLevel, to: NoiseLevel) -> usize {
    if frame.has_slopes(from, to) { 4 } else { 1 }
}

/// A step of the method, or Euler's where it has none.
pub(crate) fn rk4_step(
    run: &mut Run<'_>,
    frame: Frame,
    x0: &Tensor,
    stages: &mut Stages,
) -> Result<()> {
    match frame.has_slopes(run.level(), run.next_level()) {
        true => runge_kutta::step(run, frame, &TABLEAU, x0, stages),
        false => euler_step(run, x0),
    }
}
