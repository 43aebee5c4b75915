//! A quarter of a circle from data to noise.

use std::f64::consts::FRAC_PI_2;

use super::Path;

/// `alpha = cos(πt/2)`, `sigma = sin(πt/2)`: TrigFlow, the path of continuous-time consistency
/// models (arXiv:2410.11081, sec. 3; their time is `πt/2`, their data has unit variance).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trigonometric;

impl Path for Trigonometric {
    fn alpha(&self, t: f64) -> f64 {
        // Exactly 0 at t = 1, where the cosine is not.
        (FRAC_PI_2 * (1.0 - t)).sin()
    }

    fn sigma(&self, t: f64) -> f64 {
        (FRAC_PI_2 * t).sin()
    }

    fn d_alpha(&self, t: f64) -> f64 {
        -FRAC_PI_2 * self.sigma(t)
    }

    fn d_sigma(&self, t: f64) -> f64 {
        FRAC_PI_2 * self.alpha(t)
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        (-lambda).exp().atan() / FRAC_PI_2
    }
}
