//! How much of a sample is data and how much noise.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, ensure};

/// Where on the way from data to noise a sample is: `x = alpha·x0 + sigma·eps`.
///
/// Both are finite and not negative, and at least one is above 0.
/// The fields are open for reading and for levels that are known to be right;
/// [`NoiseLevel::new`] checks.
///
/// ```
/// use tweedie_schedules::NoiseLevel;
///
/// let half = NoiseLevel::flow(0.5);
/// assert_eq!((half.alpha, half.sigma, half.lambda()), (0.5, 0.5, 0.0));
/// assert_eq!(half.to_ve(), NoiseLevel::ve(1.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct NoiseLevel {
    /// Weight of the clean data.
    pub alpha: f64,
    /// Standard deviation of the noise.
    pub sigma: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    alpha: f64,
    sigma: f64,
}

impl TryFrom<Unchecked> for NoiseLevel {
    type Error = Error;

    fn try_from(level: Unchecked) -> Result<Self> {
        Self::new(level.alpha, level.sigma)
    }
}

impl NoiseLevel {
    /// A level from its two weights.
    ///
    /// # Errors
    /// When one is negative or not finite, or when both are 0.
    pub fn new(alpha: f64, sigma: f64) -> Result<Self> {
        let weight = |v: f64| v.is_finite() && v >= 0.0;
        ensure(weight(alpha), "alpha", alpha, "a finite number of at least 0")?;
        ensure(weight(sigma), "sigma", sigma, "a finite number of at least 0")?;
        ensure(alpha + sigma > 0.0, "sigma", sigma, "above 0 where alpha is 0")?;
        Ok(Self { alpha, sigma })
    }

    /// Variance exploding: `alpha = 1`.
    #[must_use]
    pub const fn ve(sigma: f64) -> Self {
        Self { alpha: 1.0, sigma }
    }

    /// Variance preserving, `alpha² + sigma² = 1`, with `sigma/alpha = sigma_ve`
    /// (infinity gives pure noise).
    #[must_use]
    pub fn vp(sigma_ve: f64) -> Self {
        if sigma_ve == f64::INFINITY {
            return Self { alpha: 0.0, sigma: 1.0 };
        }
        let norm = sigma_ve.hypot(1.0);
        Self { alpha: 1.0 / norm, sigma: sigma_ve / norm }
    }

    /// Rectified flow at time `t`, 0 the data and 1 the noise: `(1 − t, t)`.
    #[must_use]
    pub const fn flow(t: f64) -> Self {
        Self { alpha: 1.0 - t, sigma: t }
    }

    /// Half the logarithm of the signal-to-noise ratio, `ln(alpha/sigma)`:
    /// `+∞` for clean data, `−∞` for pure noise.
    #[must_use]
    pub fn lambda(self) -> f64 {
        self.alpha.ln() - self.sigma.ln()
    }

    /// `sigma/alpha`, the sigma of the variance-exploding level; infinite for pure noise.
    #[must_use]
    pub fn ratio(self) -> f64 {
        self.sigma / self.alpha
    }

    /// Whether there is no noise at all.
    #[must_use]
    pub fn is_clean(self) -> bool {
        self.sigma == 0.0
    }

    /// The level of the same `lambda` with `alpha = 1`; its sigma is infinite for pure noise.
    #[must_use]
    pub fn to_ve(self) -> Self {
        Self::ve(self.ratio())
    }

    /// The level of the same `lambda` with `alpha² + sigma² = 1`.
    #[must_use]
    pub fn to_vp(self) -> Self {
        let norm = self.alpha.hypot(self.sigma);
        Self { alpha: self.alpha / norm, sigma: self.sigma / norm }
    }

    /// The level of the same `lambda` with `alpha + sigma = 1`.
    #[must_use]
    pub fn to_flow(self) -> Self {
        let sum = self.alpha + self.sigma;
        Self { alpha: self.alpha / sum, sigma: self.sigma / sum }
    }
}

/// What of a level stays constant along the way from data to noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Variance exploding, `alpha = 1`.
    #[default]
    Ve,
    /// Variance preserving, `alpha² + sigma² = 1`.
    Vp,
    /// Rectified flow, `alpha + sigma = 1`.
    Flow,
}

impl Scale {
    /// The level of this scale with `sigma/alpha = ratio`.
    /// An infinite ratio is pure noise, which only the variance-exploding scale cannot express:
    /// its sigma is infinite too.
    #[must_use]
    pub fn level(self, ratio: f64) -> NoiseLevel {
        match self {
            Self::Ve => NoiseLevel::ve(ratio),
            Self::Vp => NoiseLevel::vp(ratio),
            Self::Flow if ratio == f64::INFINITY => NoiseLevel::flow(1.0),
            Self::Flow => NoiseLevel::ve(ratio).to_flow(),
        }
    }

    /// The level of the same `lambda` at this scale.
    #[must_use]
    pub fn of(self, level: NoiseLevel) -> NoiseLevel {
        match self {
            Self::Ve => level.to_ve(),
            Self::Vp => level.to_vp(),
            Self::Flow => level.to_flow(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_scales_of_one_level() {
        let ve = NoiseLevel::ve(0.75);
        assert_eq!(ve.to_vp(), NoiseLevel { alpha: 0.8, sigma: 0.6 });
        assert_eq!(NoiseLevel::vp(0.75), ve.to_vp());
        assert_eq!(Scale::Flow.level(0.25), NoiseLevel { alpha: 0.8, sigma: 0.2 });
        assert_eq!(ve.lambda(), -(0.75_f64.ln()));
    }

    #[test]
    fn the_two_ends() {
        let (clean, noise) = (NoiseLevel::flow(0.0), NoiseLevel::flow(1.0));
        assert!(clean.is_clean() && clean.lambda() == f64::INFINITY && clean.ratio() == 0.0);
        assert!(!noise.is_clean() && noise.lambda() == f64::NEG_INFINITY);
        assert_eq!(Scale::Vp.level(noise.ratio()), noise);
        assert_eq!(Scale::Flow.level(f64::INFINITY), noise);
        assert_eq!(noise.to_vp(), noise);
    }

    #[test]
    fn impossible_levels_are_refused() {
        for (alpha, sigma) in
            [(f64::NAN, 1.0), (1.0, f64::NAN), (-1.0, 1.0), (1.0, f64::INFINITY), (0.0, 0.0)]
        {
            assert!(NoiseLevel::new(alpha, sigma).is_err(), "{alpha} {sigma}");
        }
        assert!(serde_json::from_str::<NoiseLevel>(r#"{"alpha": 1, "sigma": -1}"#).is_err());
        let error = NoiseLevel::new(1.0, -2.0).unwrap_err().to_string();
        assert_eq!(error, "sigma is -2, expected a finite number of at least 0");
    }
}
