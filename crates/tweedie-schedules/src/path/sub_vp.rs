//! Less variance than variance preserving.

use super::{Path, VpLinear};
use crate::error::Result;

/// `alpha` as [`VpLinear`], `sigma = 1 − alpha²` (Song et al., arXiv:2011.13456, eq. 29).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SubVp(VpLinear);

impl SubVp {
    /// The path of a line from `beta_min` to `beta_max`.
    ///
    /// # Errors
    /// Unless `0 < beta_min < beta_max`.
    pub fn new(beta_min: f64, beta_max: f64) -> Result<Self> {
        VpLinear::new(beta_min, beta_max).map(Self)
    }
}

impl Path for SubVp {
    fn alpha(&self, t: f64) -> f64 {
        self.0.alpha(t)
    }

    fn sigma(&self, t: f64) -> f64 {
        -(-self.0.integral(t)).exp_m1()
    }

    fn d_alpha(&self, t: f64) -> f64 {
        self.0.d_alpha(t)
    }

    fn d_sigma(&self, t: f64) -> f64 {
        self.0.beta(t) * self.alpha(t).powi(2)
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        // With k = e^λ: k alpha² + alpha − k = 0, and 1 − alpha² = alpha/k.
        let k = lambda.exp();
        if k == f64::INFINITY {
            return 0.0;
        }
        let alpha = 2.0 * k / (1.0 + (2.0 * k).hypot(1.0));
        let log_square = if k < 1.0 { 2.0 * alpha.ln() } else { (-alpha / k).ln_1p() };
        self.0.t_of_integral(-log_square)
    }
}
