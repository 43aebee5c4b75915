//! Variance preserving with `beta` in a line.

use super::{Path, softplus};
use crate::error::{Result, positive, rising};

/// `beta(t) = beta_min + t (beta_max − beta_min)`, `alpha = exp(−½ ∫ beta)`,
/// `sigma = sqrt(1 − alpha²)`: DDPM's path in the limit of many steps
/// (Song et al., arXiv:2011.13456, eq. 33).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VpLinear {
    beta_min: f64,
    beta_max: f64,
}

impl Default for VpLinear {
    /// From 0.1 to 20.
    fn default() -> Self {
        Self { beta_min: 0.1, beta_max: 20.0 }
    }
}

impl VpLinear {
    /// The path of a line from `beta_min` to `beta_max` (a table's betas times its length).
    ///
    /// # Errors
    /// Unless `0 < beta_min < beta_max`.
    pub fn new(beta_min: f64, beta_max: f64) -> Result<Self> {
        positive("beta_min", beta_min)?;
        rising(("beta_min", beta_min), ("beta_max", beta_max))?;
        Ok(Self { beta_min, beta_max })
    }

    pub(super) fn beta(&self, t: f64) -> f64 {
        self.beta_min + t * (self.beta_max - self.beta_min)
    }

    /// `∫₀ᵗ beta`.
    pub(super) fn integral(&self, t: f64) -> f64 {
        t * (self.beta_min + 0.5 * t * (self.beta_max - self.beta_min))
    }

    /// The time with this integral, clamped to [0, 1]: the positive root, in the form that loses no digits.
    pub(super) fn t_of_integral(&self, integral: f64) -> f64 {
        let integral = integral.clamp(0.0, self.integral(1.0));
        let rise = self.beta_max - self.beta_min;
        let root = (self.beta_min.powi(2) + 2.0 * rise * integral).sqrt();
        (2.0 * integral / (self.beta_min + root)).clamp(0.0, 1.0)
    }
}

impl Path for VpLinear {
    fn alpha(&self, t: f64) -> f64 {
        (-0.5 * self.integral(t)).exp()
    }

    fn sigma(&self, t: f64) -> f64 {
        (-(-self.integral(t)).exp_m1()).sqrt()
    }

    fn d_alpha(&self, t: f64) -> f64 {
        -0.5 * self.beta(t) * self.alpha(t)
    }

    fn d_sigma(&self, t: f64) -> f64 {
        0.5 * self.beta(t) * self.alpha(t).powi(2) / self.sigma(t)
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        // alpha² = 1/(1 + e^−2λ), so ∫ beta = ln(1 + e^−2λ).
        self.t_of_integral(softplus(-2.0 * lambda))
    }
}
