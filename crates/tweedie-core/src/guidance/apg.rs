//! Adaptive projected guidance.

use super::{Branches, sample_dims};
use crate::{Denoiser, Error, Result};
use std::cell::RefCell;
use tch::{Kind, Tensor};
use tweedie_schedules::NoiseLevel;

/// Adaptive projected guidance (arXiv:2410.02416, Algorithm 1), which keeps high scales from
/// over-saturating:
///
/// ```text
/// Δ = strong − weak + momentum·Δ_last          (reversed where momentum < 0)
/// Δ ← Δ·min(1, norm_threshold/‖Δ‖)
/// x0 = strong + (scale − 1)·(Δ⊥ + eta·Δ∥)      (Δ∥ the part along strong)
/// ```
///
/// Norms and parts are a sample's own. With `eta = 1`, no momentum and no threshold it is plain
/// guidance. It remembers `Δ_last` of the run: a call with at least as much noise as the first one
/// of the run, or with another shape, begins a new one. A run that starts with *less* noise than the
/// last needs [`reset`](Self::reset), or a denoiser of its own.
#[derive(Debug)]
pub struct Apg<B> {
    branches: B,
    scale: f64,
    settings: Settings,
    memory: RefCell<Option<Memory>>,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    eta: f64,
    norm_threshold: f64,
    momentum: f64,
}

#[derive(Debug)]
struct Memory {
    start: f64,
    difference: Tensor,
}

impl<B: Branches> Apg<B> {
    /// Projection alone: `eta = 0`, no threshold, no momentum. Scale 1 is off.
    pub fn new(branches: B, scale: f64) -> Self {
        let settings = Settings { eta: 0.0, norm_threshold: f64::INFINITY, momentum: 0.0 };
        Apg { branches, scale, settings, memory: RefCell::new(None) }
    }

    /// How much of the part along the estimate is kept: 0 none, 1 all.
    #[must_use]
    pub fn eta(mut self, eta: f64) -> Self {
        self.settings.eta = eta;
        self
    }

    /// The largest norm of a sample's difference. It depends on the size of samples; 15 is
    /// diffusers' default.
    #[must_use]
    pub fn norm_threshold(mut self, norm_threshold: f64) -> Self {
        self.settings.norm_threshold = norm_threshold;
        self
    }

    /// The weight of the last difference, in (−1, 1); the paper's are negative.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.settings.momentum = momentum;
        self
    }

    /// Forgets the run so far.
    pub fn reset(&self) {
        self.memory.replace(None);
    }

    fn check(&self) -> Result<()> {
        let Settings { eta, norm_threshold, momentum } = self.settings;
        if !eta.is_finite() {
            return Err(Error::invalid("eta", eta, "a finite number"));
        }
        if norm_threshold.is_nan() || norm_threshold <= 0.0 {
            return Err(Error::invalid("norm_threshold", norm_threshold, "a number above 0"));
        }
        if momentum.is_nan() || momentum.abs() >= 1.0 {
            return Err(Error::invalid("momentum", momentum, "a number in (-1, 1)"));
        }
        Ok(())
    }

    /// Adds what is remembered to the difference, and remembers the sum.
    fn remember(&self, difference: Tensor, level: NoiseLevel) -> Tensor {
        if self.settings.momentum == 0.0 {
            return difference;
        }
        let mut memory = self.memory.borrow_mut();
        let ratio = level.ratio();
        let going = memory.take().filter(|m| {
            ratio < m.start
                && m.difference.size() == difference.size()
                && m.difference.kind() == difference.kind()
                && m.difference.device() == difference.device()
        });
        let start = going.as_ref().map_or(ratio, |m| m.start);
        let sum = match going {
            Some(m) => difference + m.difference * self.settings.momentum,
            None => difference,
        };
        *memory = Some(Memory { start, difference: sum.detach() });
        sum
    }
}

impl<B: Branches> Denoiser for Apg<B> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        if self.scale == 1.0 {
            return self.branches.strong(x, level);
        }
        self.check()?;
        let [strong, weak] = self.branches.both(x, level)?;
        if strong.dim() < 2 {
            return Err(Error::shape("x", "[batch, …]", &strong.size()));
        }
        let difference = self.remember(&strong - &weak, level);
        let dims = sample_dims(&strong);
        // Sums in double precision, as the authors' projection is.
        let dot =
            |a: &Tensor, b: &Tensor| (a * b).sum_dim_intlist(dims.as_slice(), true, Kind::Double);
        let norm = dot(&difference, &difference).sqrt();
        let shrink = (norm.reciprocal() * self.settings.norm_threshold).clamp_max(1.0);
        let along = dot(&difference, &strong) / dot(&strong, &strong).clamp_min(1e-24);
        // Δ⊥ + eta·Δ∥ = Δ − (1 − eta)·along·strong
        let push = shrink * (self.scale - 1.0);
        let back = (&push * along * (1.0 - self.settings.eta)).to_kind(strong.kind());
        Ok(&strong - &strong * back + difference * push.to_kind(strong.kind()))
    }
}
