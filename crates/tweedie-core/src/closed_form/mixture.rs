//! A mixture of isotropic normal distributions.

use crate::{Denoiser, Error, Result};
use tch::{Kind, Tensor};
use tweedie_schedules::NoiseLevel;
use tweedie_torch::tensor;

/// Data that are `Σ weightᵢ N(meanᵢ, stdᵢ² I)` in `dim` dimensions.
///
/// The posterior mean is that of each component, weighted by how probable the component is:
/// `Σ rᵢ(x) [meanᵢ + alpha·stdᵢ²/(alpha²·stdᵢ² + sigma²) (x − alpha·meanᵢ)]`.
#[derive(Debug)]
pub struct GaussianMixture {
    log_weights: Vec<f64>,
    means: Tensor,
    stds: Vec<f64>,
}

impl GaussianMixture {
    /// `means` holds a row of `dim` numbers for each component.
    pub fn new(weights: &[f64], means: &[Vec<f64>], stds: &[f64]) -> Result<Self> {
        let n = weights.len();
        if n == 0 || means.len() != n || stds.len() != n {
            let found = format!("{n}, {}, {}", means.len(), stds.len());
            return Err(Error::invalid(
                "the numbers of weights, means, stds",
                found,
                "equal, positive",
            ));
        }
        let dim = means[0].len();
        if dim == 0 || means.iter().any(|m| m.len() != dim) {
            return Err(Error::invalid("means", "ragged or empty", "rows of one length"));
        }
        let good = |v: &f64| v.is_finite() && *v > 0.0;
        if let Some(bad) = weights.iter().chain(stds).find(|v| !good(v)) {
            return Err(Error::invalid("a weight or std", bad, "a positive number"));
        }
        let total: f64 = weights.iter().sum();
        Ok(GaussianMixture {
            log_weights: weights.iter().map(|w| (w / total).ln()).collect(),
            means: tensor::from_f64(&means.concat(), &[n as i64, dim as i64])?,
            stds: stds.to_vec(),
        })
    }

    /// `count` equally likely components of standard deviation `std` on a circle in the plane.
    pub fn ring(count: usize, radius: f64, std: f64) -> Result<Self> {
        let angle = |i: usize| std::f64::consts::TAU * i as f64 / count as f64;
        let means: Vec<_> =
            (0..count).map(|i| vec![radius * angle(i).cos(), radius * angle(i).sin()]).collect();
        Self::new(&vec![1.0; count], &means, &vec![std; count])
    }

    fn per_component(&self, like: &Tensor, f: impl Fn(usize) -> f64) -> Result<Tensor> {
        let values: Vec<f64> = (0..self.stds.len()).map(f).collect();
        let row = tensor::from_f64(&values, &[values.len() as i64])?;
        Ok(row.to_device(like.device()).to_kind(like.kind()))
    }
}

impl Denoiser for GaussianMixture {
    /// `x` is `[batch, dim]`.
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        let NoiseLevel { alpha, sigma } = level;
        let dim = self.means.size()[1];
        if x.dim() != 2 || x.size()[1] != dim {
            return Err(Error::shape("x", format!("[batch, {dim}]"), &x.size()));
        }
        let variance = |i: usize| (alpha * self.stds[i]).powi(2) + sigma.powi(2);
        let means = self.means.to_device(x.device()).to_kind(x.kind());
        let away = x.unsqueeze(1) - (&means * alpha).unsqueeze(0); // [batch, component, dim]
        let precision = self.per_component(x, |i| -0.5 / variance(i))?;
        let log_norm =
            self.per_component(x, |i| self.log_weights[i] - 0.5 * dim as f64 * variance(i).ln())?;
        let logits = away.square().sum_dim_intlist(-1, false, None::<Kind>) * precision + log_norm;
        let responsibility = logits.softmax(-1, None::<Kind>).unsqueeze(-1);
        let shrink = self.per_component(x, |i| alpha * self.stds[i].powi(2) / variance(i))?;
        let posterior = means.unsqueeze(0) + away * shrink.unsqueeze(-1);
        Ok((responsibility * posterior).sum_dim_intlist(1, false, None::<Kind>))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numerator and denominator of Bayes' rule, integrated on a grid in one dimension.
    #[test]
    fn agrees_with_quadrature() {
        let gmm = GaussianMixture::new(&[1.0, 3.0], &[vec![-1.0], vec![2.0]], &[0.3, 0.7]).unwrap();
        let pdf = |x0: f64| {
            let normal = |m: f64, s: f64| (-0.5 * ((x0 - m) / s).powi(2)).exp() / s;
            0.25 * normal(-1.0, 0.3) + 0.75 * normal(2.0, 0.7)
        };
        for (x, alpha, sigma) in [(0.3, 0.8, 0.6), (-2.0, 1.0, 1.5), (1.0, 0.3, 0.7)] {
            let (mut num, mut den) = (0.0, 0.0);
            for i in -80_000..80_000 {
                let x0 = f64::from(i) * 1e-4;
                let w = pdf(x0) * (-0.5 * ((x - alpha * x0) / sigma).powi(2)).exp();
                (num, den) = (num + w * x0, den + w);
            }
            let at = tensor::from_f64(&[x], &[1, 1]).unwrap();
            let x0 = gmm.denoise(&at, NoiseLevel { alpha, sigma }).unwrap();
            assert!((x0.double_value(&[0, 0]) - num / den).abs() < 1e-8);
        }
    }

    #[test]
    fn refuses_nonsense() {
        assert!(GaussianMixture::new(&[], &[], &[]).is_err());
        assert!(GaussianMixture::new(&[1.0], &[vec![0.0]], &[0.0]).is_err());
        assert!(GaussianMixture::new(&[1.0, 1.0], &[vec![0.0], vec![]], &[1.0, 1.0]).is_err());
        let gmm = GaussianMixture::ring(3, 1.0, 0.1).unwrap();
        let x = Tensor::zeros([4, 3], tch::kind::FLOAT_CPU);
        assert!(gmm.denoise(&x, NoiseLevel::ve(1.0)).is_err());
    }
}
