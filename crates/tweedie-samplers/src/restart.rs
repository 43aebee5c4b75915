//! Restart sampling.

use crate::{Frame, Heun, Run, Sampler, Solver, ancestral::at_ratio, heun::heun_step};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::{Error, Grid, NoiseLevel, Result};

/// Restart sampling (arXiv:2306.14878, Algorithm 1): [`Heun`]'s method; after the step that ends at or
/// below the noise ratio `s_min`, `repeats` times noise is added up to `s_max` at once, and the ODE is
/// solved down again in `steps` steps. Forgets the errors made before, without an SDE's small steps.
///
/// The end of the interval is the grid's level, as in the authors' code; the steps within are
/// spaced as EDM's (`rho = 7`). A grid that ends above `s_min`, or passes to no noise within the same
/// step, or starts below `s_max`, has no restart. Two evaluations a step, as within the repeats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Restart {
    /// The least noise ratio `sigma/alpha` of the interval.
    pub s_min: f64,
    /// The most.
    pub s_max: f64,
    /// Steps down in a repeat.
    pub steps: usize,
    /// How often.
    pub repeats: usize,
    /// Standard deviation of the noise that is added.
    pub s_noise: f64,
}

impl Default for Restart {
    /// An interval from 0.06 to 0.3, two repeats of two steps.
    fn default() -> Self {
        Restart { s_min: 0.06, s_max: 0.3, steps: 2, repeats: 2, s_noise: 1.0 }
    }
}

impl Restart {
    fn check(&self) -> Result<Self> {
        let Restart { s_min, s_max, steps, s_noise, .. } = *self;
        if !(s_min > 0.0 && s_min < s_max && s_max.is_finite()) {
            let found = format!("from {s_min} to {s_max}");
            return Err(Error::invalid("the interval of restarts", found, "0 < s_min < s_max"));
        }
        if steps == 0 {
            return Err(Error::invalid("steps", steps, "at least 1"));
        }
        if !s_noise.is_finite() || s_noise < 0.0 {
            return Err(Error::invalid("s_noise", s_noise, "a finite number of at least 0"));
        }
        Ok(*self)
    }

    /// Whether the step from `from` to `to` of a grid from `start` ends in restarts.
    fn applies(&self, start: NoiseLevel, from: NoiseLevel, to: NoiseLevel) -> bool {
        start.ratio() >= self.s_max
            && from.ratio() > self.s_min
            && to.ratio() <= self.s_min
            && !to.is_clean()
    }

    /// The levels from `s_max` down to `end`.
    fn levels(&self, end: NoiseLevel) -> Vec<NoiseLevel> {
        let (most, least) = (self.s_max.powf(1.0 / 7.0), end.ratio().powf(1.0 / 7.0));
        let at = |i: usize| most + (least - most) * i as f64 / self.steps as f64;
        let inner = (0..self.steps).map(|i| at_ratio(end, at(i).powi(7)));
        inner.chain([end]).collect()
    }

    fn restart(&self, run: &mut Run<'_>, buffers: &mut [Option<Tensor>; 2]) -> Result<()> {
        let [noise, scratch] = buffers;
        let levels = self.levels(run.next_level());
        let (top, end) = (levels[0], levels[self.steps]);
        let added = self.s_noise * (top.sigma.powi(2) - end.sigma.powi(2)).sqrt();
        let z = run.draw(noise, None)?;
        run.advance(1.0, &[(added, z)], 0.0)?;
        for pair in levels.windows(2) {
            let x0 = run.denoise_at(run.x(), pair[0])?;
            heun_step(run, Frame::Ve, [pair[0], pair[1]], &x0, scratch)?;
        }
        Ok(())
    }
}

impl Sampler for Restart {
    fn solver(&self) -> Result<Solver> {
        let this = self.check()?;
        let mut start = None;
        let mut buffers = [None, None];
        Ok(Box::new(move |run| {
            let (from, to) = (run.level(), run.next_level());
            let start = *start.get_or_insert(from);
            let x0 = run.denoise()?;
            heun_step(run, Frame::Ve, [from, to], &x0, &mut buffers[1])?;
            if this.applies(start, from, to) {
                for _ in 0..this.repeats {
                    this.restart(run, &mut buffers)?;
                }
            }
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        let restarts =
            grid.pairs().filter(|&(from, to)| self.applies(grid.levels()[0], from, to)).count();
        Heun::default().evaluations(grid) + restarts * self.repeats * 2 * self.steps
    }
}
