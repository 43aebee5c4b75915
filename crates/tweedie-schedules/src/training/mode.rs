//! Stable Diffusion 3's other distribution.

use std::f64::consts::{FRAC_PI_2, PI};

use super::LevelSampler;
use crate::error::{Result, ensure};
use crate::level::NoiseLevel;
use crate::numeric::inside;

/// `t = f(1 − u)` with `f(u) = 1 − u − scale (cos²(πu/2) − 1 + u)`, on the rectified-flow path
/// (arXiv:2403.03206, eq. 20): positive scales favour times in the middle, negative ones the ends,
/// 0 is uniform. (`f` itself falls with `u`; turned round, it is an inverse distribution function.)
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mode {
    scale: f64,
}

impl Default for Mode {
    /// The paper's 1.29.
    fn default() -> Self {
        Self { scale: 1.29 }
    }
}

impl Mode {
    /// The distribution with this scale.
    ///
    /// # Errors
    /// Unless `−1 ≤ scale ≤ 2/(π − 2)`, about 1.75; beyond, `f` is no longer monotone.
    pub fn new(scale: f64) -> Result<Self> {
        let most = 2.0 / (PI - 2.0);
        ensure((-1.0..=most).contains(&scale), "scale", scale, "a number from -1 to 2/(π − 2)")?;
        Ok(Self { scale })
    }
}

impl LevelSampler for Mode {
    fn level(&self, u: f64) -> NoiseLevel {
        let u = inside(u);
        // cos²(π(1 − u)/2) = sin²(πu/2)
        let t = u - self.scale * ((FRAC_PI_2 * u).sin().powi(2) - u);
        NoiseLevel::flow(t.clamp(f64::MIN_POSITIVE, 1.0))
    }
}
