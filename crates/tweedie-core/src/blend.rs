//! Linear combinations that keep a graph where one is recorded.

use crate::{Error, Result};
use tch::Tensor;
use tweedie_torch::fused;

/// `a·first + Σ cᵢ·tᵢ`: one pass, in `first`'s memory where nobody else holds it.
///
/// That pass records no graph. So where a term takes part in one, as under gradients through the
/// denoiser, the same sum is made of plain operations.
pub(crate) fn blend(first: Tensor, a: f64, terms: &[(f64, &Tensor)]) -> Result<Tensor> {
    let recorded = first.requires_grad() || terms.iter().any(|(_, t)| t.requires_grad());
    if !recorded {
        let mut sum = first;
        fused::combine(&mut sum, a, terms)?;
        return Ok(sum);
    }
    if let Some((_, odd)) = terms.iter().find(|(_, t)| t.size() != first.size()) {
        return Err(Error::shape("a branch", format!("{:?}", first.size()), &odd.size()));
    }
    Ok(terms.iter().fold(first * a, |sum, &(c, t)| sum + t * c))
}
