//! Euler–Maruyama on the reverse SDE of a path.

use crate::{Run, Sampler, Solver};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::{Error, Grid, NoiseLevel, Result};
use tweedie_schedules::path::{Path, SubVp, Ve, VpLinear};

/// The Euler–Maruyama method on the reverse SDE of a path (arXiv:2011.13456, eq. 6)
///
/// ```text
/// dx = [f·x − g²·∇ log p(x)] dt + g dw    with    f = alpha'/alpha,  g² = (sigma²)' − 2f·sigma²
/// ```
///
/// in the time of the path. Grids may be of any scale: a level stands for the time of its noise
/// ratio. The step to clean data is the estimate itself, as in the paper's appendix G.
/// Weak and, for this additive noise, strong order 1; one evaluation a step. It is explicit and
/// unstable where `g²·Δt` is above about `sigma²`: it wants hundreds of steps, even in the path's time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EulerMaruyama<P> {
    /// The path whose `f` and `g` are meant.
    pub path: P,
}

impl EulerMaruyama<VpLinear> {
    /// The variance-preserving SDE (eq. 11), with `beta` from 0.1 to 20.
    pub fn vp() -> Self {
        Self::default()
    }
}

impl EulerMaruyama<Ve> {
    /// The variance-exploding SDE (eq. 9), with sigma from 0.01 to 50.
    pub fn ve() -> Self {
        Self::default()
    }
}

impl EulerMaruyama<SubVp> {
    /// The sub-variance-preserving SDE (eq. 29), with `beta` from 0.1 to 20.
    pub fn sub_vp() -> Self {
        Self::default()
    }
}

impl<P: Path> EulerMaruyama<P> {
    /// The time of `level` and its level on the path; the path's end for pure noise.
    fn locate(&self, level: NoiseLevel) -> Result<(f64, NoiseLevel)> {
        if level.alpha == 0.0 {
            return Ok((1.0, self.path.level(1.0)));
        }
        let t = self.path.t_of_lambda(level.lambda());
        let there = self.path.level(t);
        if (there.ratio() / level.ratio() - 1.0).abs() < 1e-6 {
            return Ok((t, there));
        }
        let ends = (self.path.level(0.0).ratio(), self.path.level(1.0).ratio());
        let expected = format!("between {} and {}, the ends of the path", ends.0, ends.1);
        Err(Error::invalid("the noise ratio of a level", level.ratio(), expected))
    }

    fn step(&self, run: &mut Run<'_>, x0: &Tensor) -> Result<()> {
        let (from, to) = (run.level(), run.next_level());
        if to.is_clean() {
            return run.advance(0.0, &[(to.alpha, x0)], 0.0);
        }
        let ((t, at), (t_to, at_to)) = (self.locate(from)?, self.locate(to)?);
        let dt = t - t_to;
        let f = self.path.d_alpha(t) / at.alpha;
        let g2 = 2.0 * at.sigma * (self.path.d_sigma(t) - f * at.sigma);
        if !(f.is_finite() && g2.is_finite() && g2 >= 0.0) {
            let why = "the path's f or g is not finite there";
            return Err(Error::Level { what: "Euler–Maruyama", level: from, why });
        }
        // In the path's scale, x ← x − [f·x − g²·(alpha·x0 − x)/sigma²]·dt + g·√dt·z.
        let pull = g2 * dt / at.sigma.powi(2);
        // Scales of path and grid differ by a factor each.
        let into = if from.alpha > 0.0 { at.alpha / from.alpha } else { at.sigma / from.sigma };
        let out = to.alpha / at_to.alpha;
        let keep = out * into * (1.0 - f * dt - pull);
        run.advance(keep, &[(out * pull * at.alpha, x0)], out * (g2 * dt).sqrt())
    }
}

impl<P: Path + Clone + Send + 'static> Sampler for EulerMaruyama<P> {
    fn solver(&self) -> Result<Solver> {
        let this = self.clone();
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            this.step(run, &x0)?;
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}

/// The SDEs of [`EulerMaruyama`] that have a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sde {
    /// Variance preserving.
    #[default]
    Vp,
    /// Variance exploding.
    Ve,
    /// Sub-variance-preserving.
    SubVp,
}

/// [`EulerMaruyama`] on an SDE that has a name, as a configuration file says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NamedSde {
    /// Which SDE.
    pub sde: Sde,
}

impl Sampler for NamedSde {
    fn solver(&self) -> Result<Solver> {
        match self.sde {
            Sde::Vp => EulerMaruyama::vp().solver(),
            Sde::Ve => EulerMaruyama::ve().solver(),
            Sde::SubVp => EulerMaruyama::sub_vp().solver(),
        }
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}
