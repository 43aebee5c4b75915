//! DPM-Solver++ for the reverse SDE, two evaluations a step.

use crate::{
    Run, Sampler, Solver,
    ancestral::{Amount, at_ratio, down_and_up, euler_down_up},
};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::{Error, Grid, NoiseLevel, Result};

/// DPM-Solver++ (SDE) as k-diffusion has it (`sample_dpmpp_sde`): an ancestral step to `r` of the way
/// in `λ`, then the whole step by the estimates of both ends. Two evaluations a step, one to no noise
/// or from pure noise.
///
/// Both stages draw noise, for overlapping parts of the way: it is made for
/// [`Noise::brownian`](tweedie_core::Noise::brownian), with which both lie on one path. With
/// independent noise it is a sampler too, of the same distribution in the limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmPpSde {
    /// Share of fresh noise: 0 is the ODE, 1 the reverse SDE.
    pub eta: f64,
    /// Standard deviation of the noise.
    pub s_noise: f64,
    /// Where the second evaluation is, as a share of the step in `λ`: in (0, 1].
    pub r: f64,
}

impl Default for DpmPpSde {
    /// k-diffusion's: `eta = 1`, `s_noise = 1`, `r = ½`.
    fn default() -> Self {
        DpmPpSde { eta: 1.0, s_noise: 1.0, r: 0.5 }
    }
}

fn has_middle(from: NoiseLevel, to: NoiseLevel) -> bool {
    from.alpha > 0.0 && !to.is_clean()
}

impl DpmPpSde {
    fn check(&self) -> Result<Self> {
        Amount { eta: self.eta, s_noise: self.s_noise }.check()?;
        if self.r > 0.0 && self.r <= 1.0 {
            return Ok(*self);
        }
        Err(Error::invalid("r", self.r, "a number in (0, 1]"))
    }

    fn step(
        self,
        run: &mut Run<'_>,
        noise: &mut Option<Tensor>,
        scratch: &mut Option<Tensor>,
    ) -> Result<Tensor> {
        let x0 = run.denoise()?;
        let (from, to) = (run.level(), run.next_level());
        let (s, s_to) = (from.ratio(), to.ratio());
        let (down, up) = down_and_up(s, s_to, self.eta);
        if !has_middle(from, to) {
            euler_down_up(run, &x0, down, self.s_noise * up)?;
            return Ok(x0);
        }
        let middle = at_ratio(to, s.powf(1.0 - self.r) * s_to.powf(self.r));
        let (down_m, up_m) = down_and_up(s, middle.ratio(), self.eta);
        let keep = middle.alpha * down_m / from.sigma;
        let mut terms = vec![(middle.alpha - keep * from.alpha, &x0)];
        if self.s_noise * up_m > 0.0 {
            let z = run.draw(noise, Some((from, middle)))?;
            terms.push((middle.alpha * self.s_noise * up_m, z));
        }
        terms.push((keep, run.x()));
        let x_middle = run.combine(scratch, &terms)?;
        let x0_middle = run.denoise_at(x_middle, middle)?;
        // x'/alpha' = x0' + down·(x/alpha − x0')/s + up·z  with  x0' between the two estimates
        let share = 0.5 / self.r;
        let keep = to.alpha * down / from.sigma;
        let weight = to.alpha - keep * from.alpha;
        let (first, second) = (weight * (1.0 - share), weight * share);
        let up = to.alpha * self.s_noise * up;
        let mut terms = vec![(first, &x0), (second, &x0_middle)];
        if up > 0.0 {
            terms.push((up, run.draw(noise, Some((from, to)))?));
        }
        run.advance(keep, &terms, 0.0)?;
        Ok(x0)
    }
}

impl Sampler for DpmPpSde {
    fn solver(&self) -> Result<Solver> {
        let this = self.check()?;
        let (mut noise, mut scratch) = (None, None);
        Ok(Box::new(move |run| this.step(run, &mut noise, &mut scratch)))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.pairs().map(|(from, to)| 1 + usize::from(has_middle(from, to))).sum()
    }
}
