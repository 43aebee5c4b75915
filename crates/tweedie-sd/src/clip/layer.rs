//! A layer of the text encoder.

use super::{Activation, ClipConfig};
use crate::nn::{Attention, add};
use tch::Tensor;
use tweedie_torch::Result;
use tweedie_torch::frozen::Linear;
use tweedie_torch::parameters::{LayerNorm, Scope};

/// Causal attention and a feed-forward layer, each behind a norm (transformers' `CLIPEncoderLayer`).
#[derive(Debug)]
pub(super) struct Layer {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    widen: Linear,
    narrow: Linear,
    activation: Activation,
}

impl Layer {
    pub(super) fn new(p: &mut Scope<'_>, c: &ClipConfig) -> Result<Self> {
        let (width, wide) = (c.hidden_size, c.intermediate_size);
        Ok(Layer {
            norm1: LayerNorm::new(&mut p.sub("layer_norm1"), width, c.layer_norm_eps)?,
            attention: Attention::causal(&mut p.sub("self_attn"), width, c.num_attention_heads)?,
            norm2: LayerNorm::new(&mut p.sub("layer_norm2"), width, c.layer_norm_eps)?,
            widen: Linear::new(&mut p.sub("mlp.fc1"), width, wide, true)?,
            narrow: Linear::new(&mut p.sub("mlp.fc2"), wide, width, true)?,
            activation: c.activation,
        })
    }

    /// `[batch, length, width]` to the same shape.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.norm1.forward(x);
        let x = add(self.attention.forward(&h, &h)?, x)?;
        let h = self.widen.forward(&self.norm2.forward(&x))?;
        let h = match self.activation {
            Activation::Gelu => h.f_gelu("none")?,
            Activation::QuickGelu => h.f_mul_scalar(1.702)?.f_sigmoid()?.f_mul(&h)?,
        };
        add(self.narrow.forward(&h)?, &x)
    }
}
