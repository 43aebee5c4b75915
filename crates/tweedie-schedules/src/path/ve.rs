//! Variance exploding.

use super::Path;
use crate::error::{Result, positive, rising};

/// `alpha = 1`, `sigma = sigma_min (sigma_max/sigma_min)^t` (Song et al., arXiv:2011.13456, app. C).
/// It starts at `sigma_min`, not at clean data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ve {
    sigma_min: f64,
    rate: f64,
}

impl Default for Ve {
    /// From 0.01 to 50.
    fn default() -> Self {
        Self { sigma_min: 0.01, rate: (50.0_f64 / 0.01).ln() }
    }
}

impl Ve {
    /// The path from `sigma_min` to `sigma_max`.
    ///
    /// # Errors
    /// Unless `0 < sigma_min < sigma_max`.
    pub fn new(sigma_min: f64, sigma_max: f64) -> Result<Self> {
        positive("sigma_min", sigma_min)?;
        rising(("sigma_min", sigma_min), ("sigma_max", sigma_max))?;
        Ok(Self { sigma_min, rate: sigma_max.ln() - sigma_min.ln() })
    }
}

impl Path for Ve {
    fn alpha(&self, _: f64) -> f64 {
        1.0
    }

    fn sigma(&self, t: f64) -> f64 {
        self.sigma_min * (self.rate * t).exp()
    }

    fn d_alpha(&self, _: f64) -> f64 {
        0.0
    }

    fn d_sigma(&self, t: f64) -> f64 {
        self.rate * self.sigma(t)
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        ((-lambda - self.sigma_min.ln()) / self.rate).clamp(0.0, 1.0)
    }
}
