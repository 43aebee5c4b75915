//! DDPM with its choices of variance.

use crate::ancestral::{down_and_up, euler_down_up};
use crate::{Sampler, Solver};
use serde::{Deserialize, Serialize};
use tweedie_core::{Error, Grid, NoiseLevel, Result};

/// DDPM's ancestral sampling (arXiv:2006.11239, Algorithm 2) with any variance between its two, as
/// improved DDPM interpolates them (arXiv:2102.09672, eq. 15):
///
/// ```text
/// Σ = exp(v·ln β + (1 − v)·ln β̃)
/// ```
///
/// `β̃`, the posterior's variance given `x0`, is right for data that are one point; `β`, the variance
/// of the forward step, for data of unit variance. Both are of the variance-preserving path; on
/// others the step is the same but for its scale. The last step, to no noise, draws none.
/// One evaluation a step.
///
/// diffusers' `fixed_small` and `fixed_small_log` (which differ in rounding) are `v = 0`,
/// `fixed_large` and `fixed_large_log` are `v = 1`; where a network says `v` for each element
/// (`learned_range`), this is one value for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ddpm {
    /// 0 is `β̃`, 1 is `β`.
    pub v: f64,
}

impl Ddpm {
    /// The smaller variance, `β̃`.
    pub fn fixed_small() -> Self {
        Ddpm { v: 0.0 }
    }

    /// The larger variance, `β`.
    pub fn fixed_large() -> Self {
        Ddpm { v: 1.0 }
    }

    fn check(&self) -> Result<f64> {
        if (0.0..=1.0).contains(&self.v) {
            return Ok(self.v);
        }
        Err(Error::invalid("v", self.v, "a number in [0, 1]"))
    }
}

/// `√β` as a noise ratio: `β = 1 − alpha²/alpha'²` at variance-preserving levels.
fn large(from: NoiseLevel, to: NoiseLevel) -> f64 {
    let (alpha, alpha_to) = (from.to_vp().alpha, to.to_vp().alpha);
    (1.0 - (alpha / alpha_to).powi(2)).sqrt() / alpha_to
}

impl Sampler for Ddpm {
    fn solver(&self) -> Result<Solver> {
        let v = self.check()?;
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            let (from, to) = (run.level(), run.next_level());
            let (down, small) = down_and_up(from.ratio(), to.ratio(), 1.0);
            let noise =
                if to.is_clean() { 0.0 } else { small.powf(1.0 - v) * large(from, to).powf(v) };
            euler_down_up(run, &x0, down, noise)?;
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}
