//! Variance preserving with `√beta` in a line.

use super::{Path, softplus};
use crate::error::{Result, positive, rising};

/// `√beta(t) = √beta_min + t (√beta_max − √beta_min)`, `alpha = exp(−½ ∫ beta)`,
/// `sigma = sqrt(1 − alpha²)`: the path of latent diffusion and Stable Diffusion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VpScaledLinear {
    root_min: f64,
    rise: f64,
}

impl Default for VpScaledLinear {
    /// From 0.85 to 12: Stable Diffusion's betas times its 1000 timesteps.
    fn default() -> Self {
        Self { root_min: 0.85_f64.sqrt(), rise: 12_f64.sqrt() - 0.85_f64.sqrt() }
    }
}

impl VpScaledLinear {
    /// The path of a line from `√beta_min` to `√beta_max` (a table's betas times its length).
    ///
    /// # Errors
    /// Unless `0 < beta_min < beta_max`.
    pub fn new(beta_min: f64, beta_max: f64) -> Result<Self> {
        positive("beta_min", beta_min)?;
        rising(("beta_min", beta_min), ("beta_max", beta_max))?;
        Ok(Self { root_min: beta_min.sqrt(), rise: beta_max.sqrt() - beta_min.sqrt() })
    }

    fn beta(&self, t: f64) -> f64 {
        (self.root_min + t * self.rise).powi(2)
    }

    /// `∫₀ᵗ beta`.
    fn integral(&self, t: f64) -> f64 {
        let (r, d) = (self.root_min, self.rise * t);
        t * (r * r + r * d + d * d / 3.0)
    }
}

impl Path for VpScaledLinear {
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
        // With root = √beta(t): ∫ beta = (root³ − root_min³)/(3 rise). The difference of the two
        // cubes is divided out, so that small times keep their digits.
        let integral = softplus(-2.0 * lambda).clamp(0.0, self.integral(1.0));
        let (low, cubes) = (self.root_min, 3.0 * self.rise * integral);
        let root = (low.powi(3) + cubes).cbrt();
        let t = cubes / (root * root + root * low + low * low) / self.rise;
        t.clamp(0.0, 1.0)
    }
}
