//! What a network is trained to say.

use serde::{Deserialize, Serialize};
use tweedie_schedules::NoiseLevel;

/// What a network predicts of `x = alpha·x0 + sigma·eps`.
///
/// Every kind is a linear combination `F = a·x0 + b·eps`, and so together with `x` it is two
/// equations for the two unknowns: [`target`](Self::target) says which combination,
/// and `x0 = (b·x − sigma·F) / (b·alpha − sigma·a)` inverts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The clean data.
    X0,
    /// The noise (Ho et al., arXiv:2006.11239).
    Eps,
    /// `v = (alpha·eps − sigma·x0) / √(alpha² + sigma²)`: Salimans & Ho (arXiv:2202.00512, §4)
    /// where `alpha² + sigma² = 1`, and the same number for the same signal-to-noise ratio
    /// elsewhere (as smalldiffusion's `PredV` has it).
    V,
    /// The velocity `eps − x0` of the straight path from data to noise (arXiv:2210.02747).
    Flow,
    /// The score `∇ log p(x) = −eps/sigma` (arXiv:2011.13456).
    Score,
}

impl Prediction {
    /// `(a, b)` of the target `a·x0 + b·eps` at `level`.
    pub fn target(self, level: NoiseLevel) -> (f64, f64) {
        let NoiseLevel { alpha, sigma } = level;
        match self {
            Prediction::X0 => (1.0, 0.0),
            Prediction::Eps => (0.0, 1.0),
            Prediction::V => (-sigma / alpha.hypot(sigma), alpha / alpha.hypot(sigma)),
            Prediction::Flow => (-1.0, 1.0),
            Prediction::Score => (0.0, -1.0 / sigma),
        }
    }

    /// `(c_skip, c_out)` of `x0 = c_skip·x + c_out·F` at `level`; not finite where the prediction
    /// does not determine `x0` (noise or score at `alpha = 0`).
    pub fn denoiser(self, level: NoiseLevel) -> (f64, f64) {
        let (a, b) = self.target(level);
        let det = b * level.alpha - level.sigma * a;
        match self {
            // Multiplied by sigma, so that it also holds in the limit sigma → 0.
            Prediction::Score => (1.0 / level.alpha, level.sigma.powi(2) / level.alpha),
            _ if a == 1.0 && b == 0.0 => (0.0, 1.0),
            _ => (b / det, -level.sigma / det),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Prediction; 5] =
        [Prediction::X0, Prediction::Eps, Prediction::V, Prediction::Flow, Prediction::Score];

    proptest! {
        /// What is trained for is what is inverted, on every path.
        #[test]
        fn target_and_denoiser_are_inverse(
            alpha in 0.01..1.5f64, sigma in 0.01..80.0f64, x0 in -3.0..3.0f64, eps in -3.0..3.0f64,
        ) {
            let level = NoiseLevel { alpha, sigma };
            let x = alpha * x0 + sigma * eps;
            for p in ALL {
                let (a, b) = p.target(level);
                let (skip, out) = p.denoiser(level);
                let back = skip * x + out * (a * x0 + b * eps);
                // x0 is read off x at the level's signal-to-noise ratio: that much is lost.
                let tolerance = 1e-13 * (1.0 + sigma / alpha) * 10.0;
                prop_assert!((back - x0).abs() < tolerance, "{p:?}: {back} for {x0}");
            }
        }
    }

    #[test]
    fn flow_is_defined_at_pure_noise() {
        let (skip, out) = Prediction::Flow.denoiser(NoiseLevel { alpha: 0.0, sigma: 1.0 });
        assert_eq!((skip, out), (1.0, -1.0));
    }
}
