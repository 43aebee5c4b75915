//! EDM's stochastic sampler.

use crate::{Frame, Sampler, Solver, heun::heun_step};
use serde::{Deserialize, Serialize};
use tweedie_core::{Error, Grid, NoiseLevel, Result};

/// Algorithm 2 of EDM (arXiv:2206.00364): before each step of [`Heun`](crate::Heun) some noise is
/// added ("churn") and the step begins from there. Two evaluations a step, one for the last to no
/// noise. Without churn it is Heun's method.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdmStochastic {
    /// The whole amount of churn, shared out among the steps.
    pub s_churn: f64,
    /// Churn only where `sigma/alpha` is at least this …
    pub s_tmin: f64,
    /// … and at most this.
    pub s_tmax: f64,
    /// Standard deviation of the noise that is added.
    pub s_noise: f64,
}

impl Default for EdmStochastic {
    /// The paper's for ImageNet-64 (Table 5).
    fn default() -> Self {
        EdmStochastic { s_churn: 40.0, s_tmin: 0.05, s_tmax: 50.0, s_noise: 1.003 }
    }
}

impl EdmStochastic {
    fn check(&self) -> Result<()> {
        let fields = [
            ("s_churn", self.s_churn),
            ("s_tmin", self.s_tmin),
            ("s_tmax", self.s_tmax),
            ("s_noise", self.s_noise),
        ];
        for (what, value) in fields {
            // An upper end of infinity is usual for s_tmax.
            if value.is_nan() || value < 0.0 || (what != "s_tmax" && value.is_infinite()) {
                return Err(Error::invalid(what, value, "a number of at least 0"));
            }
        }
        Ok(())
    }

    /// The level that churn raises `level` to, by a factor of at most √2.
    fn raised(&self, level: NoiseLevel, steps: usize) -> NoiseLevel {
        let ratio = level.ratio();
        if !ratio.is_finite() || ratio < self.s_tmin || ratio > self.s_tmax {
            return level;
        }
        let gamma = (self.s_churn / steps as f64).min(2f64.sqrt() - 1.0);
        NoiseLevel { sigma: level.sigma * (1.0 + gamma), ..level }
    }
}

impl Sampler for EdmStochastic {
    fn solver(&self) -> Result<Solver> {
        self.check()?;
        let this = *self;
        let mut scratch = None;
        Ok(Box::new(move |run| {
            let (level, raised) = (run.level(), this.raised(run.level(), run.steps()));
            let added = (raised.sigma.powi(2) - level.sigma.powi(2)).sqrt();
            if added > 0.0 {
                run.advance(1.0, &[], this.s_noise * added)?;
            }
            let x0 = run.denoise_at(run.x(), raised)?;
            heun_step(run, Frame::Ve, [raised, run.next_level()], &x0, &mut scratch)?;
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        crate::Heun::default().evaluations(grid)
    }
}
