//! Continuous paths from data to noise.
//!
//! | path | `alpha(t)` | `sigma(t)` |
//! |---|---|---|
//! | [`Ve`] | 1 | geometric from `sigma_min` to `sigma_max` |
//! | [`VpLinear`] | `exp(−½∫β)`, β a line | `sqrt(1 − alpha²)` |
//! | [`VpScaledLinear`] | `exp(−½∫β)`, √β a line | `sqrt(1 − alpha²)` |
//! | [`VpCosine`] | a cosine | `sqrt(1 − alpha²)` |
//! | [`SubVp`] | as [`VpLinear`] | `1 − alpha²` |
//! | [`RectifiedFlow`] | `1 − t` | `t` |
//! | [`Trigonometric`] | `cos(πt/2)` | `sin(πt/2)` |

mod rectified_flow;
mod sub_vp;
mod trigonometric;
mod ve;
mod vp_cosine;
mod vp_linear;
mod vp_scaled_linear;

pub use rectified_flow::RectifiedFlow;
pub use sub_vp::SubVp;
pub use trigonometric::Trigonometric;
pub use ve::Ve;
pub use vp_cosine::VpCosine;
pub use vp_linear::VpLinear;
pub use vp_scaled_linear::VpScaledLinear;

use crate::level::NoiseLevel;

/// A path in time: `x_t = alpha(t)·x0 + sigma(t)·eps`, from data at `t = 0` to noise at `t = 1`.
///
/// ```
/// use tweedie_schedules::path::{Path, VpLinear};
///
/// let path = VpLinear::default();
/// let t = path.t_of_lambda(0.0);
/// assert!((path.alpha(t) - path.sigma(t)).abs() < 1e-12);
/// ```
pub trait Path {
    /// Weight of the data at `t ∈ [0, 1]`.
    fn alpha(&self, t: f64) -> f64;
    /// Standard deviation of the noise at `t ∈ [0, 1]`.
    fn sigma(&self, t: f64) -> f64;
    /// Derivative of `alpha` by `t`.
    fn d_alpha(&self, t: f64) -> f64;
    /// Derivative of `sigma` by `t`; infinite at `t = 0` on paths where `sigma` starts like `√t`.
    fn d_sigma(&self, t: f64) -> f64;
    /// The time with this half log-SNR, clamped to `[0, 1]`: the inverse of [`Path::lambda`].
    fn t_of_lambda(&self, lambda: f64) -> f64;

    /// The level at `t`, which is clamped to `[0, 1]`.
    fn level(&self, t: f64) -> NoiseLevel {
        let t = t.clamp(0.0, 1.0);
        NoiseLevel { alpha: self.alpha(t), sigma: self.sigma(t) }
    }

    /// Half log-SNR at `t`, `ln(alpha/sigma)`: falls with `t`.
    fn lambda(&self, t: f64) -> f64 {
        self.level(t).lambda()
    }
}

impl<P: Path + ?Sized> Path for &P {
    fn alpha(&self, t: f64) -> f64 {
        (**self).alpha(t)
    }

    fn sigma(&self, t: f64) -> f64 {
        (**self).sigma(t)
    }

    fn d_alpha(&self, t: f64) -> f64 {
        (**self).d_alpha(t)
    }

    fn d_sigma(&self, t: f64) -> f64 {
        (**self).d_sigma(t)
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        (**self).t_of_lambda(lambda)
    }
}

/// `ln(1 + e^x)`, also where `e^x` overflows.
fn softplus(x: f64) -> f64 {
    if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() }
}
