//! Guidance that keeps the spread of the conditional branch.

use super::{Branches, sample_dims};
use crate::{Denoiser, Error, Prediction, Result, blend::blend};
use tch::Tensor;
use tweedie_schedules::NoiseLevel;

/// Classifier-free guidance rescaled (arXiv:2305.08891, eq. 14 to 16), against over-exposure:
/// with `F` the guided prediction, `φ·F·std(strong)/std(F) + (1 − φ)·F`, a standard deviation a
/// sample.
#[derive(Clone, Copy, Debug)]
pub struct Rescaled<B> {
    /// What is asked.
    pub branches: B,
    /// The scale of guidance: 1 is off.
    pub scale: f64,
    /// `φ`, how much of the spread is brought back: 0 none, 1 all; the paper's is 0.7.
    pub rescale: f64,
    /// Of what the spread is kept: the paper and diffusers rescale what the network predicts, `v` or
    /// `eps` as a rule.
    pub prediction: Prediction,
}

impl<B: Branches> Rescaled<B> {
    fn check(&self, x: &Tensor, level: NoiseLevel) -> Result<()> {
        if !(0.0..=1.0).contains(&self.rescale) {
            return Err(Error::invalid("rescale", self.rescale, "a number in [0, 1]"));
        }
        let size = x.size();
        if size.len() < 2 || size[1..].iter().product::<i64>() < 2 {
            return Err(Error::shape("x", "[batch, …] of two numbers or more", &size));
        }
        let (c_skip, c_out) = self.prediction.denoiser(level);
        if c_skip.is_finite() && c_out.is_finite() {
            return Ok(());
        }
        Err(Error::Level {
            what: "rescaled guidance",
            level,
            why: "its prediction has no x0 there",
        })
    }
}

impl<B: Branches> Denoiser for Rescaled<B> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        if self.scale == 1.0 || level.is_clean() {
            return self.branches.strong(x, level);
        }
        self.check(x, level)?;
        let [strong, weak] = self.branches.both(x, level)?;
        // F = a·x0 + b·eps = (a − b·alpha/sigma)·x0 + b/sigma·x
        let (a, b) = self.prediction.target(level);
        let (of_x0, of_x) = (a - b * level.alpha / level.sigma, b / level.sigma);
        let predicted = blend(strong.shallow_clone(), of_x0, &[(of_x, x)])?;
        let (s, w) = (of_x0 * self.scale, of_x0 * (1.0 - self.scale));
        let guided = blend(strong, s, &[(w, &weak), (of_x, x)])?;
        let dims = sample_dims(x);
        let std = |t: &Tensor| t.std_dim(dims.as_slice(), true, true);
        // A prediction without any spread has none to bring back.
        let (wanted, found) = (std(&predicted), std(&guided));
        let ratio = (wanted / &found).where_self(&found.gt(0.0), &found.ones_like());
        let factor = ratio * self.rescale + (1.0 - self.rescale);
        let (c_skip, c_out) = self.prediction.denoiser(level);
        blend(guided * factor, c_out, &[(c_skip, x)])
    }
}
