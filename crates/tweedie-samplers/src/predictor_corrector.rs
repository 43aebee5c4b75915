//! Predictor–corrector sampling.

use crate::{
    Sampler, Solver,
    ancestral::{down_and_up, euler_down_up},
};
use serde::{Deserialize, Serialize};
use tweedie_core::{Error, Grid, Result};

/// Predictor–corrector sampling (arXiv:2011.13456, Algorithms 2 and 3): at each level some steps of
/// Langevin dynamics, then an ancestral step ([`EulerAncestral`](crate::EulerAncestral)) to the next.
/// `1 + corrector_steps` evaluations a step.
///
/// A Langevin step is `x ← x + ε·∇ log p(x) + √(2ε)·z` with `ε = 2·(snr·‖z‖/‖∇ log p‖)²` in the paper
/// (Algorithm 5), from norms averaged over the batch. Here `ε = 2·(snr·sigma)²`, their expectation
/// for data that the noise covers, so that no sample depends on its batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PredictorCorrector {
    /// Signal-to-noise ratio of the Langevin steps.
    pub snr: f64,
    /// Langevin steps at each level.
    pub corrector_steps: usize,
}

impl Default for PredictorCorrector {
    /// The paper's for the variance-exploding SDE: `snr = 0.16`, one Langevin step.
    fn default() -> Self {
        PredictorCorrector { snr: 0.16, corrector_steps: 1 }
    }
}

impl PredictorCorrector {
    fn check(&self) -> Result<()> {
        // At ε = 2·sigma² the mean of pure noise would be thrown to the other side.
        if self.snr > 0.0 && self.snr < 1.0 {
            return Ok(());
        }
        Err(Error::invalid("snr", self.snr, "a number in (0, 1)"))
    }
}

impl Sampler for PredictorCorrector {
    fn solver(&self) -> Result<Solver> {
        self.check()?;
        let PredictorCorrector { snr, corrector_steps } = *self;
        let mut noise = None;
        Ok(Box::new(move |run| {
            let from = run.level();
            for _ in 0..corrector_steps {
                let x0 = run.denoise()?;
                // ε·score = 2·snr²·(alpha·x0 − x)
                let push = 2.0 * snr.powi(2);
                let z = run.draw(&mut noise, None)?;
                let terms = [(push * from.alpha, &x0), (2.0 * snr * from.sigma, z)];
                run.advance(1.0 - push, &terms, 0.0)?;
            }
            let x0 = run.denoise()?;
            let (down, up) = down_and_up(from.ratio(), run.next_level().ratio(), 1.0);
            euler_down_up(run, &x0, down, up)?;
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps() * (1 + self.corrector_steps)
    }
}
