//! Multistep consistency sampling.

use crate::{Sampler, Solver};
use serde::{Deserialize, Serialize};
use tweedie_core::{Error, Grid, Result};

/// Multistep consistency sampling (arXiv:2303.01469, Algorithm 1): take the estimate and add noise
/// of the next level,
///
/// ```text
/// x'/alpha' = x0 + √(s'² − sigma_min²)·z    with    s' = sigma'/alpha'
/// ```
///
/// For a consistency model, whose estimate is the end of the ODE's trajectory: a step is right
/// whatever its length, and more steps mend what the network does wrong. The posterior mean of an
/// ordinary denoiser is no such end; with one, samples come out too smooth.
/// One evaluation a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Consistency {
    /// The noise ratio at which trajectories end: the paper's `ε`.
    pub sigma_min: f64,
    /// Standard deviation of the noise.
    pub s_noise: f64,
}

impl Default for Consistency {
    /// The paper's and diffusers' (`CMStochasticIterativeScheduler`): 0.002 and 1.
    fn default() -> Self {
        Consistency { sigma_min: 0.002, s_noise: 1.0 }
    }
}

impl Consistency {
    fn check(&self) -> Result<Self> {
        for (what, value) in [("sigma_min", self.sigma_min), ("s_noise", self.s_noise)] {
            if !value.is_finite() || value < 0.0 {
                return Err(Error::invalid(what, value, "a finite number of at least 0"));
            }
        }
        Ok(*self)
    }
}

impl Sampler for Consistency {
    fn solver(&self) -> Result<Solver> {
        let Consistency { sigma_min, s_noise } = self.check()?;
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            let to = run.next_level();
            let added = to.sigma.powi(2) - (to.alpha * sigma_min).powi(2);
            run.advance(0.0, &[(to.alpha, &x0)], s_noise * added.max(0.0).sqrt())?;
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}
