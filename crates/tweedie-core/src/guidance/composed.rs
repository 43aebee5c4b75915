//! Several conditions at once.

use crate::{Denoiser, Result, blend::blend};
use tch::Tensor;
use tweedie_schedules::NoiseLevel;

/// `base + Σ wᵢ·(denoiserᵢ − base)`: composable diffusion (arXiv:2206.01714, eq. 11 and 13).
///
/// A positive weight is "and", a negative one "not". With one term it is
/// [`Guidance`](super::Guidance). Guidance by a condition with `w` and away from a perturbed network
/// with `s` is the terms `(w + s, cond)` and `(−s, perturbed)`.
/// Terms of weight 0 are not asked, nor the base where the weights sum to 1.
pub struct Composed<'a> {
    base: Box<dyn Denoiser + 'a>,
    terms: Vec<(f64, Box<dyn Denoiser + 'a>)>,
}

impl std::fmt::Debug for Composed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let weights: Vec<f64> = self.terms.iter().map(|t| t.0).collect();
        f.debug_struct("Composed").field("weights", &weights).finish_non_exhaustive()
    }
}

impl<'a> Composed<'a> {
    /// The base alone, the unconditional denoiser as a rule.
    pub fn new(base: impl Denoiser + 'a) -> Self {
        Composed { base: Box::new(base), terms: vec![] }
    }

    /// One more condition.
    #[must_use]
    pub fn and(mut self, weight: f64, denoiser: impl Denoiser + 'a) -> Self {
        self.terms.push((weight, Box::new(denoiser)));
        self
    }
}

impl Denoiser for Composed<'_> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        let terms: Vec<_> = self.terms.iter().filter(|t| t.0 != 0.0).collect();
        if let [(1.0, only)] = terms[..] {
            return only.denoise(x, level);
        }
        let rest = 1.0 - terms.iter().map(|t| t.0).sum::<f64>();
        let mut answers = vec![];
        for (weight, denoiser) in terms {
            answers.push((*weight, denoiser.denoise(x, level)?));
        }
        if rest != 0.0 || answers.is_empty() {
            answers.push((rest, self.base.denoise(x, level)?));
        }
        let (weight, first) = answers.swap_remove(0);
        let others: Vec<_> = answers.iter().map(|(w, t)| (*w, t)).collect();
        blend(first, weight, &others)
    }
}
