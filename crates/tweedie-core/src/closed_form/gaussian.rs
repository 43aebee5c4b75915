//! Normally distributed data.

use crate::{Denoiser, Error, Result};
use tch::Tensor;
use tweedie_schedules::NoiseLevel;

/// Data that are `N(mean, diag(variance))`.
///
/// `E[x0 | x] = mean + alpha·variance / (alpha²·variance + sigma²) · (x − alpha·mean)`.
#[derive(Debug)]
pub struct Gaussian {
    mean: Tensor,
    variance: Tensor,
}

impl Gaussian {
    /// Mean and variance of each element; both in the shape of one sample (or one that
    /// broadcasts to it).
    pub fn new(mean: Tensor, variance: Tensor) -> Result<Self> {
        if f64::try_from(variance.min()).map_err(tweedie_torch::Error::from)? < 0.0 {
            return Err(Error::invalid("variance", variance.min().double_value(&[]), "at least 0"));
        }
        Ok(Gaussian { mean, variance })
    }
}

impl Denoiser for Gaussian {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        let NoiseLevel { alpha, sigma } = level;
        let (mean, variance) = (self.mean.to_kind(x.kind()), self.variance.to_kind(x.kind()));
        let total = &variance * alpha.powi(2) + sigma.powi(2);
        Ok(&mean + (x - &mean * alpha) * variance * alpha / total)
    }
}
