//! What LoRA files change in a model.

use super::modules::Weight;
use super::{Layer, Lora, Modules, some_of};
use crate::files::Part;
use crate::{Error, Result};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// What one or several LoRA files add to one weight of a model.
#[derive(Debug)]
pub struct Adapter<'l> {
    /// The part that the weight is in.
    pub part: Part,
    /// The weight, under diffusers' name.
    pub name: String,
    /// The weight's shape.
    pub shape: Vec<i64>,
    /// Each layer with its file's scale.
    pub terms: Vec<(&'l Layer, f64)>,
}

/// What `loras`, each with its scale, add to the weights of a model, sorted by part and name.
///
/// # Errors
/// If a scale is not finite; if a file has layers that the model has not, or has in another shape:
/// the error says how many, and names the first.
pub fn adapters<'l>(loras: &[(&'l Lora, f64)], modules: &Modules) -> Result<Vec<Adapter<'l>>> {
    let mut found: BTreeMap<&Weight, Vec<(&'l Layer, f64)>> = BTreeMap::new();
    for &(lora, scale) in loras {
        if !scale.is_finite() {
            return Err(Error::invalid("a LoRA's scale", scale, "a finite number"));
        }
        let (mut lost, mut misshapen) = (vec![], vec![]);
        for layer in &lora.layers {
            match modules.find(layer.part, &layer.module) {
                None => lost.push(format!("{}: {}", layer.part, layer.module)),
                Some(weight) if !fits(layer, &weight.shape) => misshapen.push(weight.name.as_str()),
                Some(weight) => found.entry(weight).or_default().push((layer, scale)),
            }
        }
        let total = lora.layers.len();
        let another =
            |what: &str| Error::model(&lora.path, format!("it is for another model: {what}"));
        if !lost.is_empty() {
            return Err(another(&some_of(&format!("{total} layers are not in this one"), &lost)));
        }
        if !misshapen.is_empty() {
            let what = format!("{total} layers have another shape in this one");
            return Err(another(&some_of(&what, &misshapen)));
        }
    }
    let adapter = |(weight, terms): (&Weight, _)| {
        let Weight { part, name, shape } = weight.clone();
        Adapter { part, name, shape, terms }
    };
    Ok(found.into_iter().map(adapter).collect())
}

/// Whether the product has the weight's shape, be a 1×1 convolution one or a linear layer.
fn fits(layer: &Layer, shape: &[i64]) -> bool {
    let (down, up) = (layer.down.size(), layer.up.size());
    match (shape, &down[..], &up[..]) {
        ([out, inner @ ..], [_, reads @ ..], [writes, ..]) => {
            out == writes && without_ones(inner) == without_ones(reads)
        }
        _ => false,
    }
}

fn without_ones(shape: &[i64]) -> &[i64] {
    let used = shape.iter().rposition(|&n| n != 1).map_or(0, |last| last + 1);
    &shape[..used.max(1).min(shape.len())]
}

impl Adapter<'_> {
    /// `Σ scale · alpha / rank · up · down` in the shape of the weight, in f32.
    ///
    /// # Errors
    /// If libtorch refuses.
    pub fn delta(&self) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let mut sum: Option<Tensor> = None;
        for (layer, scale) in &self.terms {
            let rank = layer.rank();
            let product = || {
                let (up, down) = (layer.up.f_flatten(1, -1)?, layer.down.f_flatten(1, -1)?);
                let product = up.f_matmul(&down)?.f_view(self.shape.as_slice())?;
                product.f_mul_scalar(scale * layer.alpha / rank as f64)
            };
            let product = product().map_err(tweedie_torch::Error::from)?;
            sum = Some(match sum {
                None => product,
                Some(sum) => sum.f_add(&product).map_err(tweedie_torch::Error::from)?,
            });
        }
        sum.ok_or_else(|| Error::invalid("the number of LoRA layers", 0, "at least one"))
    }

    /// The weight with the difference added in f32, in the weight's own kind.
    ///
    /// # Errors
    /// If the weight has another shape, or libtorch refuses.
    pub fn fuse(&self, weight: &Tensor) -> Result<Tensor> {
        if weight.size() != self.shape {
            return Err(Error::shape("a weight", format!("{:?}", self.shape), &weight.size()));
        }
        let _guard = tch::no_grad_guard();
        let delta = self.delta()?;
        let fused = || {
            let sum = weight.f_to_kind(Kind::Float)?.f_add(&delta.f_to_device(weight.device())?)?;
            sum.f_to_kind(weight.kind())
        };
        Ok(fused().map_err(tweedie_torch::Error::from)?)
    }
}
