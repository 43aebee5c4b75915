//! Gradients of a likelihood through the denoiser.

use super::{LinearOperator, ddnm::residual};
use crate::{Denoiser, Error, Result};
use tch::Tensor;
use tweedie_schedules::NoiseLevel;
use tweedie_torch::autograd::{self, Recording};

/// The denoiser of the data given a noisy measurement, `E[x0 | x, y]`:
///
/// ```text
/// x0 + sigma²/alpha · Jᵀ·Aᵀ·C⁻¹·(y − A·x0)    with J the Jacobian of x0 by x
/// ```
///
/// where `C` is the covariance of `y` given `x`. It asks for the gradient through the denoiser, a
/// call and about two more of time, also within samplers, which record none by themselves.
/// A denoiser that takes no gradients (such as
/// [`DataSet`](crate::closed_form::DataSet)) is an error; a [`Model`](crate::Model) takes them, and
/// so do all rules of [`guidance`](crate::guidance).
#[derive(Debug)]
pub struct Posterior<D, A> {
    inner: D,
    operator: A,
    y: Tensor,
    noise_std: f64,
    data_variance: f64,
    spread: bool,
}

impl<D: Denoiser, A: LinearOperator> Posterior<D, A> {
    /// ΠGDM (Song et al., "Pseudoinverse-guided diffusion models", ICLR 2023):
    /// `C = r²·AAᵀ + noise_std²` with `r² = v·sigma²/(v·alpha² + sigma²)`, the variance that `x0`
    /// keeps given `x` where data have the variance `v`. The paper has `v = 1`, as here; see
    /// [`data_variance`](Self::data_variance). Exact for Gaussian data of that variance.
    /// The paper's extra weight `r²` on the step is that of its DDIM; here the formula stands as it
    /// follows from Tweedie's.
    ///
    /// `y` is `[batch, …]`, in the kind and on the device of the data.
    ///
    /// # Errors
    /// For a negative `noise_std`.
    pub fn pigdm(inner: D, operator: A, y: Tensor, noise_std: f64) -> Result<Self> {
        if !(noise_std.is_finite() && noise_std >= 0.0) {
            return Err(Error::invalid("noise_std", noise_std, "a finite number of at least 0"));
        }
        Ok(Posterior { inner, operator, y, noise_std, data_variance: 1.0, spread: true })
    }

    /// Diffusion posterior sampling (arXiv:2209.14687, eq. 16): `C = noise_std²`, the measurement of
    /// the estimate as if there were no doubt about it. The smaller `noise_std`, the larger the
    /// steps: the paper's experiments replace `1/noise_std²` by `2ζ/‖y − A·x0‖` in a step of their
    /// own, which this is not. Prefer [`pigdm`](Self::pigdm), which needs no such care.
    ///
    /// # Errors
    /// Unless `noise_std` is above 0.
    pub fn dps(inner: D, operator: A, y: Tensor, noise_std: f64) -> Result<Self> {
        if !(noise_std.is_finite() && noise_std > 0.0) {
            return Err(Error::invalid("noise_std", noise_std, "a finite number above 0"));
        }
        Ok(Posterior { inner, operator, y, noise_std, data_variance: 1.0, spread: false })
    }

    /// The variance of the data, 1 unless said.
    ///
    /// # Errors
    /// Unless it is above 0.
    pub fn data_variance(self, data_variance: f64) -> Result<Self> {
        if !(data_variance.is_finite() && data_variance > 0.0) {
            return Err(Error::invalid("data_variance", data_variance, "a finite number above 0"));
        }
        Ok(Posterior { data_variance, ..self })
    }

    /// `Aᵀ·C⁻¹·(y − A·x0)`.
    fn pull(&self, x0: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        let (v, variance) = (self.data_variance, level.sigma.powi(2));
        let kept = v * variance / (v * level.alpha.powi(2) + variance);
        let spread = if self.spread { kept } else { 0.0 };
        let residual = residual(&self.operator, &self.y, x0)?;
        self.operator.transpose(&self.operator.solve(&residual, spread, self.noise_std.powi(2))?)
    }
}

impl<D: Denoiser, A: LinearOperator> Denoiser for Posterior<D, A> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        if level.is_clean() {
            return self.inner.denoise(x, level);
        }
        if level.alpha == 0.0 {
            // x0 does not depend on x; the limit of Jᵀ/alpha is that of Gaussian data.
            let x0 = self.inner.denoise(x, level)?.detach();
            return Ok(&x0 + self.pull(&x0, level)? * self.data_variance);
        }
        let x = x.detach().set_requires_grad(true);
        let recorded = {
            let _recording = Recording::begin();
            self.inner.denoise(&x, level)?
        };
        let x0 = recorded.detach();
        let gradient = autograd::vjp(&recorded, &self.pull(&x0, level)?, &[&x])?;
        let weight = level.sigma.powi(2) / level.alpha;
        Ok(gradient.iter().fold(x0, |x0, g| x0 + g * weight))
    }
}
