//! A layer of the text encoder.

use super::{Activation, ClipConfig};
use crate::nn::add;
use tch::Tensor;
use tweedie_torch::Result;
use tweedie_torch::frozen::Linear;
use tweedie_torch::parameters::{LayerNorm, Scope};

/// Causal attention and a feed-forward layer, each behind a norm (transformers' `CLIPEncoderLayer`).
#[derive(Debug)]
pub(super) struct Layer {
    norm1: LayerNorm,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    norm2: LayerNorm,
    widen: Linear,
    narrow: Linear,
    num_heads: i64,
    activation: Activation,
}

impl Layer {
    pub(super) fn new(p: &mut Scope<'_>, c: &ClipConfig) -> Result<Self> {
        let (width, wide) = (c.hidden_size, c.intermediate_size);
        let mut linear =
            |name, inputs, outputs| Linear::new(&mut p.sub(name), inputs, outputs, true);
        let mut square = |name| linear(name, width, width);
        let [q, k, v, out] = [
            square("self_attn.q_proj")?,
            square("self_attn.k_proj")?,
            square("self_attn.v_proj")?,
            square("self_attn.out_proj")?,
        ];
        let (widen, narrow) = (linear("mlp.fc1", width, wide)?, linear("mlp.fc2", wide, width)?);
        Ok(Layer {
            norm1: LayerNorm::new(&mut p.sub("layer_norm1"), width, c.layer_norm_eps)?,
            q,
            k,
            v,
            out,
            norm2: LayerNorm::new(&mut p.sub("layer_norm2"), width, c.layer_norm_eps)?,
            widen,
            narrow,
            num_heads: c.num_attention_heads,
            activation: c.activation,
        })
    }

    /// `[batch, length, width]` to the same shape.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.norm1.forward(x);
        let heads = |layer: &Linear| -> Result<Tensor> {
            Ok(layer.forward(&h)?.f_unflatten(2, [self.num_heads, -1])?.f_transpose(1, 2)?)
        };
        let (q, k, v) = (heads(&self.q)?, heads(&self.k)?, heads(&self.v)?);
        let attended = Tensor::f_scaled_dot_product_attention(
            &q,
            &k,
            &v,
            None::<&Tensor>,
            0.0,
            true,
            None,
            false,
        )?;
        let x = add(self.out.forward(&attended.f_transpose(1, 2)?.f_flatten(2, 3)?)?, x)?;
        let h = self.widen.forward(&self.norm2.forward(&x))?;
        let h = match self.activation {
            Activation::Gelu => h.f_gelu("none")?,
            Activation::QuickGelu => h.f_mul_scalar(1.702)?.f_sigmoid()?.f_mul(&h)?,
        };
        add(self.narrow.forward(&h)?, &x)
    }
}
