//! Two answers to one question.

use crate::{Cond, Denoiser, Error, Model, Network, Result};
use tch::Tensor;
use tweedie_schedules::NoiseLevel;

/// Two denoisers that may be asked together: the one to follow and the one to get away from.
///
/// A pair `(strong, weak)` of denoisers is one, and so are both branches of a network in one batch
/// ([`Model::branches`]).
pub trait Branches {
    /// The estimate to follow.
    fn strong(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor>;

    /// The estimate to get away from.
    fn weak(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor>;

    /// `[strong, weak]`, which must have one shape.
    fn both(&self, x: &Tensor, level: NoiseLevel) -> Result<[Tensor; 2]> {
        let (strong, weak) = (self.strong(x, level)?, self.weak(x, level)?);
        if strong.size() != weak.size() || strong.kind() != weak.kind() {
            let expected = format!("{:?} of {:?}", strong.size(), strong.kind());
            return Err(Error::shape("the weak branch's answer", expected, &weak.size()));
        }
        Ok([strong, weak])
    }
}

impl<S: Denoiser, W: Denoiser> Branches for (S, W) {
    fn strong(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        self.0.denoise(x, level)
    }

    fn weak(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        self.1.denoise(x, level)
    }
}

impl<B: Branches + ?Sized> Branches for &B {
    fn strong(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        (**self).strong(x, level)
    }

    fn weak(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        (**self).weak(x, level)
    }

    fn both(&self, x: &Tensor, level: NoiseLevel) -> Result<[Tensor; 2]> {
        (**self).both(x, level)
    }
}

/// A network under two conditions: one call for both, with the batch twice as long.
/// See [`Model::branches`].
#[derive(Debug)]
pub struct InOneBatch<'a, N> {
    pub(crate) model: &'a Model<N>,
    pub(crate) cond: &'a Cond,
    pub(crate) null: &'a Cond,
}

impl<N: Network> Branches for InOneBatch<'_, N> {
    fn strong(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        self.model.denoise_given(x, level, Some(self.cond))
    }

    fn weak(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        self.model.denoise_given(x, level, Some(self.null))
    }

    fn both(&self, x: &Tensor, level: NoiseLevel) -> Result<[Tensor; 2]> {
        let size = x.size();
        let Some(&batch) = size.first() else {
            return Err(Error::shape("x", "[batch, …]", &size));
        };
        let both = self.cond.cat(self.null)?;
        let x0 = self.model.denoise_given(&Tensor::cat(&[x, x], 0), level, Some(&both))?;
        Ok([x0.narrow(0, 0, batch), x0.narrow(0, batch, batch)])
    }
}
