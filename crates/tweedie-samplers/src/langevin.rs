//! Langevin dynamics from level to level: overdamped (NCSN's) and underdamped.

use crate::{Run, Sampler, Solver};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::{Error, Grid, NoiseLevel, Result};

/// Annealed Langevin dynamics (NCSN, arXiv:1907.05600, Algorithm 1): at each level `steps` times
///
/// ```text
/// x ← x + (a/2)·∇ log p(x) + √a·z    with    a = ε·sigmaᵢ²/sigma_L² = step_size·sigmaᵢ²
/// ```
///
/// and on to the next level with the same `x/alpha`. The start is a sample of its level already, so
/// the chain begins at the second. A grid that ends above no noise ends as Algorithm 1 does, with
/// the noise of its last level; the step to no noise is the estimate (the denoising step of
/// arXiv:2009.05475). `steps` evaluations a step, one for that last.
///
/// It does not solve the reverse SDE: it is right where every level has the time to settle.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnnealedLangevin {
    /// The paper's `ε/sigma_L²`, below 4.
    pub step_size: f64,
    /// The paper's T: steps at each level.
    pub steps: usize,
}

impl Default for AnnealedLangevin {
    /// The paper's `ε = 2e-5` at `sigma_L = 0.01`, and `T = 100`.
    fn default() -> Self {
        AnnealedLangevin { step_size: 0.2, steps: 100 }
    }
}

impl AnnealedLangevin {
    fn check(&self) -> Result<Self> {
        // Pure noise is multiplied by 1 − step_size/2.
        if !(self.step_size > 0.0 && self.step_size < 4.0) {
            return Err(Error::invalid("step_size", self.step_size, "a number in (0, 4)"));
        }
        check_steps(self.steps)?;
        Ok(*self)
    }
}

impl Sampler for AnnealedLangevin {
    fn solver(&self) -> Result<Solver> {
        let AnnealedLangevin { step_size, steps } = self.check()?;
        let mut noise = None;
        Ok(Box::new(move |run| {
            anneal(run, steps, |run, x0, NoiseLevel { alpha, sigma }| {
                // sigma²·score = alpha·x0 − x
                let pull = step_size / 2.0;
                let z = run.draw(&mut noise, None)?;
                let terms = [(pull * alpha, x0), (step_size.sqrt() * sigma, z)];
                run.advance(1.0 - pull, &terms, 0.0)
            })
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        evaluations(grid, self.steps)
    }
}

/// Underdamped Langevin dynamics at each level: the state has a velocity `w`, which carries it
/// through flat places and past narrow ones. `steps` times
///
/// ```text
/// w ← w + h·sigma·∇ log p(x)        x ← x + (h/2)·sigma·w
/// w ← e^(−friction·h)·w + √(1 − e^(−2·friction·h))·z        x ← x + (h/2)·sigma·w
/// ```
///
/// which is the BAOAB splitting (Leimkuhler & Matthews 2013) with neighbouring kicks joined: of
/// order 2 in `h`, and exact in `x` for normal data. Length and time are measured in `sigma`, so that
/// one `h` suits all levels. The rest is as in [`AnnealedLangevin`], whose dynamics at `step_size = h²`
/// are the limit of much friction.
///
/// The diffusion whose velocity lives from the first level to the last is [`Cld`](crate::Cld).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnderdampedLangevin {
    /// `h`, in (0, 2).
    pub step_size: f64,
    /// How fast the velocity is forgotten: a step keeps `e^(−friction·step_size)` of it.
    pub friction: f64,
    /// Steps at each level.
    pub steps: usize,
}

impl Default for UnderdampedLangevin {
    /// `h = 0.6`, friction 1, ten steps a level.
    fn default() -> Self {
        UnderdampedLangevin { step_size: 0.6, friction: 1.0, steps: 10 }
    }
}

impl UnderdampedLangevin {
    fn check(&self) -> Result<Self> {
        // A harmonic force of unit stiffness, as pure noise has, is stable below 2.
        if !(self.step_size > 0.0 && self.step_size < 2.0) {
            return Err(Error::invalid("step_size", self.step_size, "a number in (0, 2)"));
        }
        if !(self.friction > 0.0 && self.friction.is_finite()) {
            return Err(Error::invalid("friction", self.friction, "a finite number above 0"));
        }
        check_steps(self.steps)?;
        Ok(*self)
    }

    /// One step of the dynamics; `w` is drawn when there is none.
    fn step(
        &self,
        run: &mut Run<'_>,
        x0: &Tensor,
        NoiseLevel { alpha, sigma }: NoiseLevel,
        [w, noise, scratch]: &mut [Option<Tensor>; 3],
    ) -> Result<()> {
        let (h, kept) = (self.step_size, (-self.friction * self.step_size).exp());
        let fresh = (1.0 - kept.powi(2)).sqrt();
        run.draw(noise, None)?;
        if w.is_none() {
            std::mem::swap(w, noise);
            run.draw(noise, None)?;
        }
        let (Some(velocity), Some(z)) = (&*w, &*noise) else { return Ok(()) };
        // sigma·score = (alpha·x0 − x)/sigma
        let kick = [(1.0, velocity), (h * alpha / sigma, x0), (-h / sigma, run.x())];
        let kicked = run.combine(scratch, &kick)?;
        run.advance(
            1.0,
            &[(h / 2.0 * sigma * (1.0 + kept), kicked), (h / 2.0 * sigma * fresh, z)],
            0.0,
        )?;
        run.combine(w, &[(kept, kicked), (fresh, z)])?;
        Ok(())
    }
}

impl Sampler for UnderdampedLangevin {
    fn solver(&self) -> Result<Solver> {
        let this = self.check()?;
        let mut buffers = [None, None, None];
        Ok(Box::new(move |run| {
            anneal(run, this.steps, |run, x0, level| this.step(run, x0, level, &mut buffers))
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        evaluations(grid, self.steps)
    }
}

fn check_steps(steps: usize) -> Result<()> {
    if steps == 0 {
        return Err(Error::invalid("steps", steps, "at least 1 a level"));
    }
    Ok(())
}

/// Moves the state to the next level as it is and makes `steps` steps of a dynamics there, each from
/// the estimate at the state; the step to no noise is the estimate.
fn anneal(
    run: &mut Run<'_>,
    steps: usize,
    mut step: impl FnMut(&mut Run<'_>, &Tensor, NoiseLevel) -> Result<()>,
) -> Result<Tensor> {
    let (from, to) = (run.level(), run.next_level());
    let mut x0 = None;
    if to.is_clean() {
        let estimate = run.denoise()?;
        run.advance(0.0, &[(to.alpha, &estimate)], 0.0)?;
        return Ok(estimate);
    }
    // Pure noise has no x/alpha: there the noise is what stays.
    let moved = if from.alpha > 0.0 { to.alpha / from.alpha } else { to.sigma / from.sigma };
    run.advance(moved, &[], 0.0)?;
    for _ in 0..steps {
        let estimate = run.denoise_at(run.x(), to)?;
        step(run, &estimate, to)?;
        x0 = Some(estimate);
    }
    x0.ok_or_else(|| Error::invalid("steps", steps, "at least 1 a level"))
}

fn evaluations(grid: &Grid, steps: usize) -> usize {
    grid.pairs().map(|(_, to)| if to.is_clean() { 1 } else { steps }).sum()
}
