//! The contract.

use crate::Result;
use tch::Tensor;
use tweedie_schedules::NoiseLevel;

/// The posterior mean of the clean data, `E[x0 | x]`.
///
/// `x = alpha·x0 + sigma·eps` is `[batch, …]` at `level`; the answer has the shape and kind of `x`
/// and is a tensor of its own, or one that the denoiser promises not to change.
///
/// Closures are denoisers, so are references and boxes of denoisers, every [`Model`](crate::Model)
/// and everything in [`closed_form`](crate::closed_form) and [`combinators`](crate::combinators).
/// By Tweedie's formula the score is `(alpha·D(x) − x) / sigma²`.
///
/// ```
/// use tweedie_core::{Denoiser, NoiseLevel, Result};
/// use tch::Tensor;
/// // Data that are standard normal: the posterior mean is alpha·x / (alpha² + sigma²).
/// let gaussian = |x: &Tensor, l: NoiseLevel| -> Result<Tensor> {
///     Ok(x * (l.alpha / (l.alpha.powi(2) + l.sigma.powi(2))))
/// };
/// let x = Tensor::from_slice(&[2.0_f32, -4.0]);
/// let x0 = gaussian.denoise(&x, NoiseLevel { alpha: 1.0, sigma: 1.0 }).unwrap();
/// assert_eq!(Vec::<f32>::try_from(&x0).unwrap(), [1.0, -2.0]);
/// ```
pub trait Denoiser {
    /// Estimates the clean data behind `x`, `[batch, …]`, at `level`.
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor>;
}

impl<F> Denoiser for F
where
    F: Fn(&Tensor, NoiseLevel) -> Result<Tensor>,
{
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        self(x, level)
    }
}

impl Denoiser for Box<dyn Denoiser + '_> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        (**self).denoise(x, level)
    }
}
