//! How much a noise level counts.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use tweedie_core::{Coefficients, NoiseLevel};

/// The weight of a level's squared error.
///
/// All but [`Uniform`](Weighting::Uniform) are defined for the error of `x0`, as their papers have
/// them. A network's output is off by `1/c_out` of that, so its error is multiplied by `c_out²`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Weighting {
    /// 1 for the network's own output: the simple loss of DDPM (arXiv:2006.11239, eq. 14) where
    /// it predicts noise.
    #[default]
    Uniform,
    /// `SNR = alpha²/sigma²` for `x0`: the same as uniform for noise, whatever is predicted.
    Snr,
    /// `min(SNR, gamma)` for `x0` (Hang et al., arXiv:2303.09556, eq. 8).
    MinSnr {
        /// The largest weight; the paper's is 5.
        #[serde(default = "default_gamma")]
        gamma: f64,
    },
    /// `SNR/(k + SNR)^gamma` for `x0`: `1/(k + SNR)^gamma` for noise, so that levels where little
    /// is to be seen count less (Choi et al., arXiv:2204.00227, eq. 8).
    P2 {
        /// How fast it is to fall at little noise; the paper's is 1, or 0.5.
        #[serde(default = "one")]
        gamma: f64,
        /// Where it begins to fall; the paper's is 1.
        #[serde(default = "one")]
        k: f64,
    },
    /// `(sigma² + sigma_data²) / (sigma·sigma_data)²` for `x0`, with sigma in units of the data
    /// (Karras et al., arXiv:2206.00364, Table 1): 1 for the output of an EDM network.
    Edm {
        /// Standard deviation of the data.
        #[serde(default = "default_sigma_data")]
        sigma_data: f64,
    },
}

fn default_gamma() -> f64 {
    5.0
}

fn one() -> f64 {
    1.0
}

fn default_sigma_data() -> f64 {
    0.5
}

impl Weighting {
    /// That its numbers make sense.
    pub fn check(&self) -> Result<()> {
        let (what, value) = match *self {
            Weighting::MinSnr { gamma } => ("gamma", gamma),
            Weighting::P2 { k, .. } if k.is_nan() || k <= 0.0 => ("k", k),
            Weighting::P2 { gamma, .. } => ("gamma", gamma),
            Weighting::Edm { sigma_data } => ("sigma_data", sigma_data),
            _ => return Ok(()),
        };
        match value.is_finite() && value > 0.0 {
            true => Ok(()),
            false => Err(Error::invalid(what, value, "a positive number")),
        }
    }

    /// The weight of the squared error of the network's output at `level`.
    pub fn of_output(&self, level: NoiseLevel, coefficients: &Coefficients) -> f64 {
        match self.of_x0(level) {
            None => 1.0,
            Some(weight) => weight * coefficients.c_out.powi(2),
        }
    }

    /// The weight of the squared error of `x0`; none for [`Weighting::Uniform`].
    fn of_x0(&self, level: NoiseLevel) -> Option<f64> {
        let ratio = level.ratio();
        let snr = ratio.powi(-2);
        match *self {
            Weighting::Uniform => None,
            Weighting::Snr => Some(snr),
            Weighting::MinSnr { gamma } => Some(snr.min(gamma)),
            Weighting::P2 { gamma, k } => Some(snr / (k + snr).powf(gamma)),
            Weighting::Edm { sigma_data } => {
                Some((ratio.powi(2) + sigma_data.powi(2)) / (ratio * sigma_data).powi(2))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_core::{Parametrization, Prediction};

    fn weight(weighting: Weighting, parametrization: Parametrization, level: NoiseLevel) -> f64 {
        weighting.of_output(level, &parametrization.coefficients(level).unwrap())
    }

    fn predicting(prediction: Prediction) -> Parametrization {
        Parametrization { prediction, scale: tweedie_core::Scale::Vp, ..Default::default() }
    }

    /// The table of arXiv:2303.09556, §3.4: min(SNR, γ)/SNR for noise, min(SNR, γ)/(SNR + 1) for v.
    #[test]
    fn min_snr_in_every_prediction() {
        let min_snr = Weighting::MinSnr { gamma: 5.0 };
        for ratio in [0.1, 0.447, 1.0, 3.0] {
            let level = NoiseLevel::vp(ratio);
            let snr = 1.0 / (ratio * ratio);
            let expected = [
                (Prediction::X0, snr.min(5.0)),
                (Prediction::Eps, snr.min(5.0) / snr),
                (Prediction::V, snr.min(5.0) / (snr + 1.0)),
            ];
            for (prediction, expected) in expected {
                let found = weight(min_snr, predicting(prediction), level);
                assert!((found - expected).abs() < 1e-12, "{prediction:?} at {ratio}: {found}");
            }
        }
    }

    /// Eq. 8 of arXiv:2204.00227 in its own terms: `λ'/λ = 1/(k + SNR)^γ` of the noise's error,
    /// where the simple loss is 1.
    #[test]
    fn p2_is_the_papers() {
        for (gamma, k) in [(1.0, 1.0), (0.5, 1.0), (2.0, 0.3)] {
            for ratio in [0.05, 1.0, 30.0] {
                let p2 = Weighting::P2 { gamma, k };
                let found = weight(p2, predicting(Prediction::Eps), NoiseLevel::vp(ratio));
                let expected = (k + ratio.powi(-2)).powf(-gamma);
                assert!((found / expected - 1.0).abs() < 1e-12, "{found} for {expected}");
            }
        }
        assert!(Weighting::P2 { gamma: 1.0, k: 0.0 }.check().is_err());
        assert!(Weighting::P2 { gamma: f64::NAN, k: 1.0 }.check().is_err());
    }

    #[test]
    fn edm_and_snr_are_even_in_their_own_predictions() {
        for ratio in [0.05, 1.0, 20.0] {
            let level = NoiseLevel::ve(ratio);
            let edm = weight(Weighting::Edm { sigma_data: 0.3 }, Parametrization::edm(0.3), level);
            let snr = weight(Weighting::Snr, Parametrization::default(), level);
            assert!((edm - 1.0).abs() < 1e-12 && (snr - 1.0).abs() < 1e-12);
        }
        assert!(Weighting::MinSnr { gamma: 0.0 }.check().is_err());
        assert!(Weighting::Edm { sigma_data: f64::NAN }.check().is_err());
    }
}
