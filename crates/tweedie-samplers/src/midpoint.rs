//! The midpoint rule.

use crate::runge_kutta::{self, Stages, Tableau};
use crate::{Frame, Sampler, Solver, euler::euler_step};
use serde::{Deserialize, Serialize};
use tweedie_core::{Grid, NoiseLevel, Result};

/// The explicit midpoint rule (Runge 1895) on the probability-flow ODE: half a step of Euler, then
/// a whole step with the slope found there.
/// Order 2, two evaluations a step, also for a step to no noise; one (Euler's) from `alpha = 0` in
/// [`Frame::Ve`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Midpoint {
    /// The coordinates: EDM's by default.
    pub frame: Frame,
}

const TABLEAU: Tableau<'_> = Tableau { c: &[0.0, 0.5], a: &[&[], &[0.5]], b: &[0.0, 1.0] };

impl Midpoint {
    fn has_middle(self, from: NoiseLevel) -> bool {
        self.frame.scale(from).is_finite()
    }
}

impl Sampler for Midpoint {
    fn solver(&self) -> Result<Solver> {
        let this = *self;
        let mut stages = Stages::default();
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            match this.has_middle(run.level()) {
                true => runge_kutta::step(run, this.frame, &TABLEAU, &x0, &mut stages)?,
                false => euler_step(run, &x0)?,
            }
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.pairs().map(|(from, _)| 1 + usize::from(self.has_middle(from))).sum()
    }
}
