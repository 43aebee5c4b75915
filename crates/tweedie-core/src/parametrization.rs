//! How a network is wrapped to become a denoiser.

use crate::{Error, Prediction, Result};
use serde::{Deserialize, Serialize};
use tweedie_schedules::{NoiseLevel, Scale};

/// Scaling of a network's input, and EDM's of its output.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Scaling {
    /// The network sees the state as it is.
    None,
    /// The network sees `x / √(1 + ratio²)`, `ratio = sigma/alpha` (smalldiffusion's `Scaled`).
    Scaled,
    /// Karras et al. (arXiv:2206.00364, Table 1): unit variance in and out, with a skip connection.
    /// Goes with [`Prediction::X0`] and [`Scale::Ve`].
    Edm {
        /// Standard deviation of the data.
        sigma_data: f64,
    },
}

/// What a network is told about the noise level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoiseInput {
    /// `sigma` of the network's own scale: smalldiffusion's networks; the time of a flow.
    Sigma,
    /// `ln(sigma/alpha) / 4`: EDM's `c_noise`.
    LogSigma4,
}

/// Everything between a state at some level and a bare network.
///
/// A network was trained on one [`Scale`] (variance exploding, variance preserving, or flow) but
/// levels of equal `sigma/alpha` differ by a factor only, so it denoises on every path.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parametrization {
    /// The scale of the states that the network was trained on.
    pub scale: Scale,
    /// What it predicts.
    pub prediction: Prediction,
    /// How its input is scaled.
    pub scaling: Scaling,
    /// What it is told about the level.
    pub noise_input: NoiseInput,
}

/// The numbers of a [`Parametrization`] at one level: `x0 = c_skip·x + c_out·F(c_in·x; c_noise)`,
/// trained towards `F = target_x0·x0 + target_eps·eps`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// Factor of the state in the estimate.
    pub c_skip: f64,
    /// Factor of the network's output in the estimate.
    pub c_out: f64,
    /// Factor of the state in the network's input.
    pub c_in: f64,
    /// What the network is told about the level.
    pub c_noise: f64,
    /// Factor of the data in the network's target.
    pub target_x0: f64,
    /// Factor of the noise in the network's target.
    pub target_eps: f64,
}

impl Default for Parametrization {
    /// smalldiffusion's: noise predicted from the unscaled state `x0 + sigma·eps` and sigma.
    fn default() -> Self {
        Parametrization {
            scale: Scale::Ve,
            prediction: Prediction::Eps,
            scaling: Scaling::None,
            noise_input: NoiseInput::Sigma,
        }
    }
}

impl Parametrization {
    /// EDM's (arXiv:2206.00364, Table 1).
    pub fn edm(sigma_data: f64) -> Self {
        Parametrization {
            scale: Scale::Ve,
            prediction: Prediction::X0,
            scaling: Scaling::Edm { sigma_data },
            noise_input: NoiseInput::LogSigma4,
        }
    }

    /// Rectified flow's (arXiv:2209.03003): the velocity, from the state and its time.
    pub fn flow() -> Self {
        Parametrization {
            scale: Scale::Flow,
            prediction: Prediction::Flow,
            scaling: Scaling::None,
            noise_input: NoiseInput::Sigma,
        }
    }

    /// That its parts go together: an error names the one that does not.
    pub fn check(&self) -> Result<()> {
        let Scaling::Edm { sigma_data } = self.scaling else { return Ok(()) };
        if !(sigma_data.is_finite() && sigma_data > 0.0) {
            return Err(Error::invalid("sigma_data", sigma_data, "a positive number"));
        }
        if self.scale != Scale::Ve {
            return Err(Error::invalid(
                "scale",
                format!("{:?}", self.scale),
                "ve, with edm scaling",
            ));
        }
        if self.prediction != Prediction::X0 {
            let found = format!("{:?}", self.prediction);
            return Err(Error::invalid("prediction", found, "x0, with edm scaling"));
        }
        Ok(())
    }

    /// The coefficients for a state at `level`, which may be of any path.
    ///
    /// # Errors
    /// Where the prediction says nothing about `x0` (noise or score at `alpha = 0`), or the
    /// network's own scale has no such level (variance exploding at `alpha = 0`).
    pub fn coefficients(&self, level: NoiseLevel) -> Result<Coefficients> {
        let own = self.scale.level(level.ratio());
        if !own.sigma.is_finite() {
            let why = "the network's scale is variance-exploding: pure noise has no finite sigma";
            return Err(Error::Level { what: "the network", level, why });
        }
        let coefficients =
            self.own_coefficients(own, own.alpha.hypot(own.sigma) / level.alpha.hypot(level.sigma));
        if !(coefficients.c_skip.is_finite() && coefficients.c_out.is_finite()) {
            let why = "the prediction does not determine x0 there";
            return Err(Error::Level { what: "the network", level, why });
        }
        Ok(coefficients)
    }

    /// The coefficients at `own`, a level of the network's scale, for a state that is to be
    /// multiplied by `to_own` to be on that scale.
    fn own_coefficients(&self, own: NoiseLevel, to_own: f64) -> Coefficients {
        let sigma = own.sigma;
        let (c_skip, c_out, c_in) = match self.scaling {
            Scaling::None => {
                let (skip, out) = self.prediction.denoiser(own);
                (skip, out, 1.0)
            }
            Scaling::Scaled => {
                let (skip, out) = self.prediction.denoiser(own);
                (skip, out, 1.0 / own.ratio().hypot(1.0))
            }
            Scaling::Edm { sigma_data: sd } => {
                let norm = sigma.hypot(sd);
                ((sd / norm).powi(2), sigma * sd / norm, 1.0 / norm)
            }
        };
        let (target_x0, target_eps) = match self.scaling {
            // F = (x0 − c_skip·(x0 + sigma·eps)) / c_out
            Scaling::Edm { sigma_data: sd } => {
                (sigma / (sd * sigma.hypot(sd)), -sd / sigma.hypot(sd))
            }
            _ => self.prediction.target(own),
        };
        let c_noise = match self.noise_input {
            NoiseInput::Sigma => sigma,
            NoiseInput::LogSigma4 => own.ratio().ln() / 4.0,
        };
        Coefficients {
            c_skip: c_skip * to_own,
            c_out,
            c_in: c_in * to_own,
            c_noise,
            target_x0,
            target_eps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> Vec<Parametrization> {
        let mut all = vec![Parametrization::edm(0.5)];
        for scale in [Scale::Ve, Scale::Vp, Scale::Flow] {
            for prediction in [
                Prediction::X0,
                Prediction::Eps,
                Prediction::V,
                Prediction::Flow,
                Prediction::Score,
            ] {
                for scaling in [Scaling::None, Scaling::Scaled] {
                    let noise_input = NoiseInput::Sigma;
                    all.push(Parametrization { scale, prediction, scaling, noise_input });
                }
            }
        }
        all
    }

    proptest! {
        /// A network that hits its target gives back x0, whatever the path of the state.
        #[test]
        fn a_perfect_network_denoises(
            alpha in 0.01..1.0f64, sigma in 0.01..20.0f64, x0 in -2.0..2.0f64, eps in -2.0..2.0f64,
        ) {
            let level = NoiseLevel { alpha, sigma };
            for p in all() {
                let c = p.coefficients(level).unwrap();
                let f = c.target_x0 * x0 + c.target_eps * eps;
                let back = c.c_skip * (alpha * x0 + sigma * eps) + c.c_out * f;
                let tolerance = 1e-12 * (1.0 + sigma / alpha);
                prop_assert!((back - x0).abs() < tolerance, "{p:?}: {back} for {x0}");
            }
        }

        /// The network's input depends on sigma/alpha only.
        #[test]
        fn the_path_does_not_matter(ratio in 0.01..50.0f64, x in -2.0..2.0f64) {
            for p in all() {
                let at = |level: NoiseLevel| {
                    let c = p.coefficients(level).unwrap();
                    (c.c_in * x * level.alpha, c.c_noise)
                };
                let (ve, vp) = (at(Scale::Ve.level(ratio)), at(Scale::Vp.level(ratio)));
                prop_assert!((ve.0 - vp.0).abs() < 1e-9 && (ve.1 - vp.1).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn edm_matches_table_1() {
        let c =
            Parametrization::edm(0.5).coefficients(NoiseLevel { alpha: 1.0, sigma: 2.0 }).unwrap();
        assert!((c.c_skip - 0.25 / 4.25).abs() < 1e-15);
        assert!((c.c_out - 2.0 * 0.5 / 4.25f64.sqrt()).abs() < 1e-15);
        assert!((c.c_in - 1.0 / 4.25f64.sqrt()).abs() < 1e-15);
        assert!((c.c_noise - 2f64.ln() / 4.0).abs() < 1e-15);
    }

    #[test]
    fn noise_says_nothing_about_data_at_pure_noise() {
        let eps = Parametrization { scale: Scale::Vp, ..Default::default() };
        let pure = NoiseLevel { alpha: 0.0, sigma: 1.0 };
        assert!(matches!(eps.coefficients(pure), Err(Error::Level { .. })));
        assert!(matches!(Parametrization::default().coefficients(pure), Err(Error::Level { .. })));
        assert!(Parametrization::flow().coefficients(pure).is_ok());
    }

    #[test]
    fn edm_goes_with_its_own_prediction_only() {
        let p = Parametrization { prediction: Prediction::V, ..Parametrization::edm(0.5) };
        assert!(p.check().unwrap_err().to_string().contains("prediction is V"));
    }
}
