//! What networks share: how they check what comes in, and how level and class become one vector.

use crate::embed::{ClassEmbedder, NoiseEmbedder};
use tch::{Device, Kind, Tensor};
use tweedie_core::{Cond, Error, Result};
use tweedie_torch::rng::Generator;
use tweedie_torch::tensor::to_i64;

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

/// That `x` is `[batch, …sample]` and `noise` is `[batch]`, both where the network is. Returns the
/// batch.
pub(crate) fn check_input(
    x: &Tensor,
    noise: &Tensor,
    sample: &[i64],
    device: Device,
) -> Result<i64> {
    let size = x.size();
    if size.is_empty() || size[1..] != *sample {
        let sample = sample.iter().map(|n| format!(", {n}")).collect::<String>();
        return Err(Error::shape("x", format!("[batch{sample}]"), &size));
    }
    if noise.size() != size[..1] {
        return Err(Error::shape("noise", format!("[{}]", size[0]), &noise.size()));
    }
    for (what, t) in [("the device of x", x), ("the device of noise", noise)] {
        if t.device() != device {
            let found = format!("{:?}", t.device());
            return Err(Error::invalid(what, found, format!("{device:?}, where the network is")));
        }
    }
    Ok(size[0])
}

/// That whole numbers are below `end` and not below 0: `refuse` names the one that is not. Without
/// this a wrong one reads past a table on a GPU, which ends the process's use of it. One wait for
/// the device.
pub(crate) fn check_range(t: &Tensor, end: i64, refuse: impl Fn(i64) -> Error) -> Result<()> {
    if t.numel() == 0 {
        return Ok(());
    }
    let extremes = to_i64(&Tensor::stack(&[t.min(), t.max()], 0))?;
    match extremes.into_iter().find(|extreme| !(0..end).contains(extreme)) {
        Some(found) => Err(refuse(found)),
        None => Ok(()),
    }
}

/// That a condition says nothing but a class.
pub(crate) fn check_classes_alone(cond: Option<&Cond>) -> Result<()> {
    match cond.is_some_and(|c| c.context.is_some() || c.vector.is_some()) {
        true => Err(Error::Condition("this model takes classes and nothing else".into())),
        false => Ok(()),
    }
}

/// The labels of a condition, checked, and dropped as in training if there is a generator.
/// A network without classes refuses them.
pub(crate) fn labels(
    embedder: Option<&ClassEmbedder>,
    cond: Option<&Cond>,
    batch: i64,
    rng: Option<&mut Generator>,
) -> Result<Option<Tensor>> {
    match (embedder, cond.and_then(|c| c.class.as_ref())) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Error::Condition("this model has no classes".into())),
        (Some(embedder), class) => {
            let labels = embedder.checked(class, batch)?;
            Ok(Some(match rng {
                Some(rng) => embedder.drop(&labels, rng)?,
                None => labels,
            }))
        }
    }
}

/// SiLU of the sum of what level and class become: `[batch, width]`, in `kind`.
pub(crate) fn embed(
    (level, noise): (&NoiseEmbedder, &Tensor),
    class: Option<&ClassEmbedder>,
    labels: Option<&Tensor>,
    kind: Kind,
) -> Tensor {
    let mut y = level.forward(noise);
    if let (Some(class), Some(labels)) = (class, labels) {
        y += class.forward(labels);
    }
    y.silu().to_kind(kind)
}
