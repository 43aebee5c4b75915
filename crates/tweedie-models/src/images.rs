//! What networks of images share: how they check what comes in.

use crate::embed::ClassEmbedder;
use tch::Tensor;
use tweedie_core::{Cond, Error, Result};
use tweedie_torch::rng::Generator;

/// Sizes above this are mistakes.
const MAX: i64 = 1 << 16;

/// That a size, a width or a number of things is one: an error names the setting.
pub(crate) fn check_size(field: &'static str, value: i64) -> crate::Result<()> {
    match (1..=MAX).contains(&value) {
        true => Ok(()),
        false => Err(crate::Error::setting(field, value, format!("1 to {MAX}"))),
    }
}

/// That a probability is one: an error names the setting.
pub(crate) fn check_probability(field: &'static str, value: f64) -> crate::Result<()> {
    match (0.0..=1.0).contains(&value) {
        true => Ok(()),
        false => Err(crate::Error::setting(field, value, "a probability, 0 to 1")),
    }
}

/// That `x` is `[batch, …sample]` and `noise` is `[batch]`. Returns the batch.
pub(crate) fn check_input(x: &Tensor, noise: &Tensor, sample: &[i64]) -> Result<i64> {
    let size = x.size();
    if size.is_empty() || size[1..] != *sample {
        let sample = sample.iter().map(|n| format!(", {n}")).collect::<String>();
        return Err(Error::shape("x", format!("[batch{sample}]"), &size));
    }
    if noise.size() != size[..1] {
        return Err(Error::shape("noise", format!("[{}]", size[0]), &noise.size()));
    }
    Ok(size[0])
}

/// The class's share of the embedding, with labels dropped as in training if there is a generator.
/// A network without classes refuses them.
pub(crate) fn embed_class(
    embedder: Option<&ClassEmbedder>,
    cond: Option<&Cond>,
    batch: i64,
    rng: Option<&mut Generator>,
) -> Result<Option<Tensor>> {
    match (embedder, cond.and_then(|c| c.class.as_ref())) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Error::Condition("this model has no classes".into())),
        (Some(embedder), class) => {
            let mut labels = embedder.checked(class, batch)?;
            if let Some(rng) = rng {
                labels = embedder.drop(&labels, rng)?;
            }
            Ok(Some(embedder.forward(&labels)))
        }
    }
}
