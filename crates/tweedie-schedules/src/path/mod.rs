//! Continuous paths from data to noise.

use crate::level::NoiseLevel;

/// A path in time: `x_t = alpha(t)·x0 + sigma(t)·eps`, from data at `t = 0` to noise at `t = 1`.
pub trait Path {
    /// Weight of the data at `t ∈ [0, 1]`.
    fn alpha(&self, t: f64) -> f64;
    /// Standard deviation of the noise at `t ∈ [0, 1]`.
    fn sigma(&self, t: f64) -> f64;
    /// Derivative of `alpha` by `t`.
    fn d_alpha(&self, t: f64) -> f64;
    /// Derivative of `sigma` by `t`.
    fn d_sigma(&self, t: f64) -> f64;
    /// The time with this half log-SNR, clamped to `[0, 1]`.
    fn t_of_lambda(&self, lambda: f64) -> f64;

    /// The level at `t`.
    fn level(&self, t: f64) -> NoiseLevel {
        NoiseLevel { alpha: self.alpha(t), sigma: self.sigma(t) }
    }

    /// Half log-SNR at `t`.
    fn lambda(&self, t: f64) -> f64 {
        self.level(t).lambda()
    }
}
