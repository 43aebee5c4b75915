//! Variance preserving along a cosine.

use std::f64::consts::FRAC_PI_2;

use super::Path;
use crate::error::{Result, ensure};

/// `alpha = cos(θ(t))/cos(θ(0))` with `θ(t) = π/2 (t + offset)/(1 + offset)`,
/// `sigma = sqrt(1 − alpha²)` (Nichol and Dhariwal, arXiv:2102.09672, eq. 17).
/// It ends at pure noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VpCosine {
    offset: f64,
}

impl Default for VpCosine {
    /// With the paper's offset of 0.008.
    fn default() -> Self {
        Self { offset: 0.008 }
    }
}

impl VpCosine {
    /// The path with this offset, which keeps the first steps from being too small.
    ///
    /// # Errors
    /// Unless `0 ≤ offset ≤ 1`.
    pub fn new(offset: f64) -> Result<Self> {
        ensure((0.0..=1.0).contains(&offset), "offset", offset, "a number from 0 to 1")?;
        Ok(Self { offset })
    }

    /// `dθ/dt`.
    fn speed(&self) -> f64 {
        FRAC_PI_2 / (1.0 + self.offset)
    }

    /// `θ(t)`.
    fn angle(&self, t: f64) -> f64 {
        self.speed() * (t + self.offset)
    }

    /// `π/2 − θ(t)`, exactly 0 at `t = 1`.
    fn rest(&self, t: f64) -> f64 {
        self.speed() * (1.0 - t)
    }
}

impl Path for VpCosine {
    fn alpha(&self, t: f64) -> f64 {
        self.rest(t).sin() / self.rest(0.0).sin()
    }

    fn sigma(&self, t: f64) -> f64 {
        // cos²a − cos²b = sin(b − a) sin(b + a), which loses no digits at small times.
        let (from_start, sum) = (self.speed() * t, self.angle(t) + self.angle(0.0));
        (from_start.sin() * sum.sin()).max(0.0).sqrt() / self.rest(0.0).sin()
    }

    fn d_alpha(&self, t: f64) -> f64 {
        -self.speed() * self.angle(t).sin() / self.rest(0.0).sin()
    }

    fn d_sigma(&self, t: f64) -> f64 {
        if t == 0.0 && self.offset == 0.0 {
            return self.speed();
        }
        -self.alpha(t) * self.d_alpha(t) / self.sigma(t)
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        // sigma/alpha = e^−λ gives sin²θ = sin²θ(0) + sigma² cos²θ(0) and cosθ = alpha cosθ(0).
        let level = crate::NoiseLevel::vp((-lambda).exp());
        let (sin, cos) = (self.angle(0.0).sin(), self.rest(0.0).sin());
        let angle = sin.hypot(level.sigma * cos).atan2(level.alpha * cos);
        (angle / self.speed() - self.offset).clamp(0.0, 1.0)
    }
}
