//! The contract.

use crate::{Error, Result};
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

    /// Estimates the clean data behind samples at levels of their own: `levels` has one for each
    /// sample of `x`. Where a condition is bound, `x` is one or more of its batches, one behind the
    /// other, each at one level.
    ///
    /// Unless a denoiser can do better, it is asked once for each run of neighbours at one level. A
    /// [`Model`](crate::Model) asks its network once.
    ///
    /// # Errors
    /// Unless there are as many levels as samples, and what [`denoise`](Self::denoise) refuses.
    fn denoise_each(&self, x: &Tensor, levels: &[NoiseLevel]) -> Result<Tensor> {
        check_levels(x, levels)?;
        one_by_one(self, x, levels)
    }
}

/// Asks once for each run of neighbours at one level.
pub(crate) fn one_by_one<D: Denoiser + ?Sized>(
    denoiser: &D,
    x: &Tensor,
    levels: &[NoiseLevel],
) -> Result<Tensor> {
    let mut first = 0;
    let mut answers = Vec::new();
    for run in levels.chunk_by(|a, b| a == b) {
        let batch = run.len() as i64;
        let part = x.narrow(0, first, batch);
        let answer = denoiser.denoise(&part, run[0])?;
        if answer.size() != part.size() {
            let expected = format!("{:?}", part.size());
            return Err(Error::shape("the denoiser's answer", expected, &answer.size()));
        }
        answers.push(answer);
        first += batch;
    }
    Ok(if answers.len() == 1 { answers.remove(0) } else { Tensor::cat(&answers, 0) })
}

/// That there is a level for each sample of `x`, and a sample at all.
pub(crate) fn check_levels(x: &Tensor, levels: &[NoiseLevel]) -> Result<()> {
    let samples = x.size().first().copied().unwrap_or(0);
    if samples > 0 && samples == levels.len() as i64 {
        return Ok(());
    }
    let expected = format!("{samples}, one a sample, and a sample at least");
    Err(Error::invalid("the number of levels", levels.len(), expected))
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

    fn denoise_each(&self, x: &Tensor, levels: &[NoiseLevel]) -> Result<Tensor> {
        (**self).denoise_each(x, levels)
    }
}
