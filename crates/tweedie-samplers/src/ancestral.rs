//! Ancestral steps: down below the next level, then up to it with fresh noise.

use crate::{Run, Sampler, Solver};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::{Error, Grid, NoiseLevel, Result};

/// How much noise an ancestral or SDE sampler draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Amount {
    /// 0 is the ODE, 1 the reverse SDE.
    pub(crate) eta: f64,
    /// Standard deviation of the noise that is drawn.
    pub(crate) s_noise: f64,
}

impl Amount {
    pub(crate) fn check(self) -> Result<Self> {
        for (what, value) in [("eta", self.eta), ("s_noise", self.s_noise)] {
            if !value.is_finite() || value < 0.0 {
                return Err(Error::invalid(what, value, "a finite number of at least 0"));
            }
        }
        Ok(self)
    }
}

/// The two noise ratios of an ancestral step from ratio `s` to `s_to`: down to the first without
/// noise, and the standard deviation that leads up to `s_to` again. `eta = 1` is DDPM's posterior.
pub(crate) fn down_and_up(s: f64, s_to: f64, eta: f64) -> (f64, f64) {
    // s'·√((s² − s'²)/s²), in a form that holds for s = ∞.
    let full = s_to * (1.0 - (s_to / s).powi(2)).sqrt();
    let up = s_to.min(eta * full);
    ((s_to.powi(2) - up.powi(2)).max(0.0).sqrt(), up)
}

/// The level of noise ratio `s` at the scale of `like`.
pub(crate) fn at_ratio(like: NoiseLevel, s: f64) -> NoiseLevel {
    NoiseLevel { alpha: like.alpha, sigma: like.alpha * s }
}

/// Euler's step to the ratio `down`, then `up·z`:
/// `x'/alpha' = x0 + down·eps + up·z` with `eps = (x − alpha·x0)/sigma`.
pub(crate) fn euler_down_up(run: &mut Run<'_>, x0: &Tensor, down: f64, up: f64) -> Result<()> {
    let (from, to) = (run.level(), run.next_level());
    let keep = to.alpha * down / from.sigma;
    run.advance(keep, &[(to.alpha - keep * from.alpha, x0)], to.alpha * up)
}

/// Ancestral sampling with Euler's method (k-diffusion's `sample_euler_ancestral`): with `eta = 1`
/// DDPM's posterior (arXiv:2006.11239, eq. 7) whatever the levels, with `eta` between DDIM's η
/// (arXiv:2010.02502, eq. 16). Weak order 1, one evaluation a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EulerAncestral {
    /// Share of fresh noise: 0 is Euler's method.
    pub eta: f64,
    /// Standard deviation of the noise.
    pub s_noise: f64,
}

impl Default for EulerAncestral {
    /// k-diffusion's: `eta = 1`, `s_noise = 1`.
    fn default() -> Self {
        EulerAncestral { eta: 1.0, s_noise: 1.0 }
    }
}

impl Sampler for EulerAncestral {
    fn solver(&self) -> Result<Solver> {
        let Amount { eta, s_noise } = Amount { eta: self.eta, s_noise: self.s_noise }.check()?;
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            let (down, up) = down_and_up(run.level().ratio(), run.next_level().ratio(), eta);
            euler_down_up(run, &x0, down, s_noise * up)?;
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}
