//! Denoisers that point two denoisers' difference further.

use crate::{Cond, Denoiser, Model, Network, Result};
use tch::Tensor;
use tweedie_schedules::NoiseLevel;
use tweedie_torch::fused;

/// `weak + scale·(strong − weak)`: scale 1 is the strong one alone, 0 the weak one.
///
/// With a conditional and an unconditional denoiser this is classifier-free guidance
/// (arXiv:2207.12598), with a good and a bad model autoguidance (arXiv:2406.02507).
/// For two branches of one network, [`Model::guided`] asks once for both.
#[derive(Clone, Copy, Debug)]
pub struct Guidance<S, W> {
    /// The denoiser to follow.
    pub strong: S,
    /// The denoiser to get away from.
    pub weak: W,
    /// How far: 1 is off.
    pub scale: f64,
}

impl<S: Denoiser, W: Denoiser> Denoiser for Guidance<S, W> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        if self.scale == 1.0 {
            return self.strong.denoise(x, level);
        }
        if self.scale == 0.0 {
            return self.weak.denoise(x, level);
        }
        extrapolate(self.strong.denoise(x, level)?, &self.weak.denoise(x, level)?, self.scale)
    }
}

/// Classifier-free guidance with both branches in one batch.
pub(crate) struct InOneBatch<'a, N> {
    pub(crate) model: &'a Model<N>,
    pub(crate) cond: &'a Cond,
    pub(crate) null: &'a Cond,
    pub(crate) scale: f64,
}

impl<N: Network> Denoiser for InOneBatch<'_, N> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        if self.scale == 1.0 {
            return self.model.denoise_given(x, level, Some(self.cond));
        }
        if self.scale == 0.0 {
            return self.model.denoise_given(x, level, Some(self.null));
        }
        let both = self.cond.cat(self.null)?;
        let x0 = self.model.denoise_given(&Tensor::cat(&[x, x], 0), level, Some(&both))?;
        let batch = x.size()[0];
        extrapolate(x0.narrow(0, 0, batch), &x0.narrow(0, batch, batch), self.scale)
    }
}

fn extrapolate(strong: Tensor, weak: &Tensor, scale: f64) -> Result<Tensor> {
    let mut x0 = strong;
    fused::combine(&mut x0, scale, &[(1.0 - scale, weak)])?;
    Ok(x0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_off() {
        let constant =
            |v: f64| move |x: &Tensor, _: NoiseLevel| -> Result<Tensor> { Ok(x.full_like(v)) };
        let at = |scale| {
            let guided = Guidance { strong: constant(3.0), weak: constant(1.0), scale };
            let x0 = guided.denoise(&Tensor::zeros([2], tch::kind::FLOAT_CPU), NoiseLevel::ve(1.0));
            f64::try_from(x0.unwrap().mean(tch::Kind::Double)).unwrap()
        };
        assert_eq!([at(0.0), at(1.0), at(2.0)], [1.0, 3.0, 5.0]);
    }
}
