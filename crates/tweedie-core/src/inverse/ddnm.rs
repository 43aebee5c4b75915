//! The null-space projection.

use super::LinearOperator;
use crate::{Denoiser, Error, Result};
use tch::Tensor;
use tweedie_schedules::NoiseLevel;

/// Denoising diffusion null-space models (arXiv:2212.00490, eq. 12): `x0 + A⁺·(y − A·x0)`, the part
/// that was measured from the measurement, the rest from the denoiser. For measurements without
/// noise; it takes no gradients.
#[derive(Debug)]
pub struct Ddnm<D, A> {
    inner: D,
    operator: A,
    y: Tensor,
}

impl<D: Denoiser, A: LinearOperator> Ddnm<D, A> {
    /// `y` is the measurement, `[batch, …]`, in the kind and on the device of the data.
    pub fn new(inner: D, operator: A, y: Tensor) -> Self {
        Ddnm { inner, operator, y }
    }
}

impl<D: Denoiser, A: LinearOperator> Denoiser for Ddnm<D, A> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        let x0 = self.inner.denoise(x, level)?;
        let residual = residual(&self.operator, &self.y, &x0)?;
        Ok(x0 + self.operator.pseudo_inverse(&residual)?)
    }
}

/// `y − A·x0`.
pub(super) fn residual(operator: &impl LinearOperator, y: &Tensor, x0: &Tensor) -> Result<Tensor> {
    let measured = operator.apply(x0)?;
    if measured.size() != y.size() {
        return Err(Error::shape("the measurement", format!("{:?}", measured.size()), &y.size()));
    }
    if measured.kind() != y.kind() || measured.device() != y.device() {
        let say = |t: &Tensor| format!("{:?} on {:?}", t.kind(), t.device());
        return Err(Error::invalid("the measurement", say(y), say(&measured)));
    }
    Ok(y - measured)
}
