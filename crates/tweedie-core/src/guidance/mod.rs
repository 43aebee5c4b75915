//! Denoisers that point two denoisers' difference further.
//!
//! Every rule here is a [`Denoiser`] made of denoisers, so rules nest, and every sampler takes them.
//! A scale of 1 is off, to the bit, and asks one branch only.
//!
//! | rule | what it does | source |
//! |---|---|---|
//! | [`Guidance`], [`Guided`] | `weak + scale·(strong − weak)` | arXiv:2207.12598 |
//! | [`Guidance`] of a good and a bad model | autoguidance | arXiv:2406.02507 |
//! | [`Guidance::perturbed`] | away from a perturbed network | arXiv:2403.17377 |
//! | [`Rescaled`] | the spread of the conditional branch is kept | arXiv:2305.08891, §3.4 |
//! | [`Interval`] | guidance at some levels only | arXiv:2404.07724 |
//! | [`CfgPlusPlus`] | the noise of the unconditional branch is kept | arXiv:2406.08070 |
//! | [`Apg`] | the difference without its part along the estimate | arXiv:2410.02416 |
//! | [`Composed`] | several conditions, with weights of either sign | arXiv:2206.01714 |
//! | [`DynamicThreshold`] | estimates are kept in range | arXiv:2205.11487 |

mod apg;
mod branches;
mod cfgpp;
mod composed;
mod interval;
mod rescaled;
mod threshold;

pub use apg::Apg;
pub use branches::{Branches, InOneBatch};
pub use cfgpp::CfgPlusPlus;
pub use composed::Composed;
pub use interval::Interval;
pub use rescaled::Rescaled;
pub use threshold::DynamicThreshold;

use crate::{Denoiser, DenoiserExt, Result, blend::blend};
use tch::Tensor;
use tweedie_schedules::NoiseLevel;

/// `weak + scale·(strong − weak)`: scale 1 is the strong one alone, 0 the weak one.
///
/// - A conditional and an unconditional denoiser: classifier-free guidance (arXiv:2207.12598).
///   For two branches of one network, [`Model::guided`](crate::Model::guided) asks once for both.
/// - A condition and a *negative* one in place of none: a negative prompt.
/// - A good model and a bad one, smaller or less trained, both under the condition: autoguidance
///   (arXiv:2406.02507), which sharpens without narrowing.
#[derive(Clone, Copy, Debug)]
pub struct Guidance<S, W> {
    /// The denoiser to follow.
    pub strong: S,
    /// The denoiser to get away from.
    pub weak: W,
    /// How far: 1 is off.
    pub scale: f64,
}

impl<S: Denoiser, W: Denoiser> Guidance<S, W> {
    /// Guidance away from a perturbed network: `strong + scale·(strong − perturbed)`, so that scale
    /// 0 is off here, as in the papers (perturbed attention, arXiv:2403.17377; smoothed energy,
    /// skipped layers and sliding windows are the same rule).
    ///
    /// `perturbed` is any denoiser of the same weights whose network does something worse: wrap the
    /// [`Network`](crate::Network) in one that forwards with, say, identity attention maps.
    pub fn perturbed(strong: S, perturbed: W, scale: f64) -> Self {
        Guidance { strong, weak: perturbed, scale: 1.0 + scale }
    }
}

impl<S: Denoiser, W: Denoiser> Denoiser for Guidance<S, W> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        guide(&(self.strong.by_ref(), self.weak.by_ref()), x, level, self.scale)
    }
}

/// [`Guidance`] of any two [`Branches`], such as both of a network in one batch.
#[derive(Clone, Copy, Debug)]
pub struct Guided<B> {
    /// What is asked.
    pub branches: B,
    /// How far: 1 is off.
    pub scale: f64,
}

impl<B: Branches> Denoiser for Guided<B> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        guide(&self.branches, x, level, self.scale)
    }
}

/// `weak + scale·(strong − weak)`, asking only the branches that count.
fn guide(branches: &impl Branches, x: &Tensor, level: NoiseLevel, scale: f64) -> Result<Tensor> {
    if scale == 1.0 {
        return branches.strong(x, level);
    }
    if scale == 0.0 {
        return branches.weak(x, level);
    }
    let [strong, weak] = branches.both(x, level)?;
    blend(strong, scale, &[(1.0 - scale, &weak)])
}

/// The dimensions of one sample: all but the batch's.
fn sample_dims(x: &Tensor) -> Vec<i64> {
    (1..x.dim() as i64).collect()
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
