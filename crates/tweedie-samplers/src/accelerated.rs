//! smalldiffusion's family of samplers.

use crate::{Sampler, Solver};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::{Error, Grid, Result};

/// The sampler of Permenter & Yuan (arXiv:2306.04848): DDIM's step with the noise estimate pushed
/// on from the last one by `gam`, and with a share of fresh noise by `mu`.
/// One evaluation a step. In terms of `s = sigma/alpha`, from `s` to `s'`:
///
/// ```text
/// eps_av = gam·eps + (1 − gam)·eps_last
/// x'/alpha' = x/alpha − (s − s_p)·eps_av + √(s'² − s_p²)·z     with  s' = s^mu · s_p^(1 − mu)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Accelerated {
    /// Weight of the present noise estimate against the last: 1 forgets the last.
    pub gam: f64,
    /// Share of fresh noise, in [0, 1).
    pub mu: f64,
}

impl Default for Accelerated {
    /// The accelerated sampler, `gam = 2` without fresh noise.
    fn default() -> Self {
        Accelerated { gam: 2.0, mu: 0.0 }
    }
}

impl Accelerated {
    /// DDIM (arXiv:2010.02502): `gam = 1`, `mu = 0`.
    pub fn ddim() -> Self {
        Accelerated { gam: 1.0, mu: 0.0 }
    }

    /// DDPM (arXiv:2006.11239) with the smaller of its variances: `gam = 1`, `mu = ½`.
    pub fn ddpm() -> Self {
        Accelerated { gam: 1.0, mu: 0.5 }
    }

    fn check(&self) -> Result<()> {
        if !self.gam.is_finite() {
            return Err(Error::invalid("gam", self.gam, "a finite number, 1 or more as a rule"));
        }
        if !(0.0..1.0).contains(&self.mu) {
            return Err(Error::invalid("mu", self.mu, "a number in [0, 1)"));
        }
        Ok(())
    }
}

impl Sampler for Accelerated {
    fn solver(&self) -> Result<Solver> {
        self.check()?;
        let Accelerated { gam, mu } = *self;
        let (mut eps_last, mut spare): (Option<Tensor>, Option<Tensor>) = (None, None);
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            let (from, to) = (run.level(), run.next_level());
            let (s, s_to) = (from.ratio(), to.ratio());
            let s_p = if mu == 0.0 { s_to } else { (s_to / s.powf(mu)).powf(1.0 / (1.0 - mu)) };
            let fresh = to.alpha * (s_to.powi(2) - s_p.powi(2)).max(0.0).sqrt();
            // x'/alpha' = x0 + s_p·eps − push·(eps − eps_last)  with  eps = (x − alpha·x0)/sigma
            let push = if eps_last.is_some() { (gam - 1.0) * (s - s_p) } else { 0.0 };
            if gam != 1.0 {
                run.combine(
                    &mut spare,
                    &[(1.0 / from.sigma, run.x()), (-from.alpha / from.sigma, &x0)],
                )?;
            }
            let eps = (s_p - push) / from.sigma;
            let terms = [(to.alpha * (1.0 - eps * from.alpha), &x0)];
            match &eps_last {
                Some(last) => {
                    run.advance(to.alpha * eps, &[terms[0], (to.alpha * push, last)], fresh)?;
                }
                None => run.advance(to.alpha * eps, &terms, fresh)?,
            }
            std::mem::swap(&mut eps_last, &mut spare);
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}
