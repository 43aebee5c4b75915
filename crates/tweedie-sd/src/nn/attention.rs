//! Attention (diffusers' `Attention`: `to_q`, `to_k`, `to_v`, `to_out.0`).

use tch::Tensor;
use tweedie_torch::Result;
use tweedie_torch::frozen::Linear;
use tweedie_torch::parameters::Scope;

/// Attention of tokens to each other, or to a context.
#[derive(Debug)]
pub(crate) struct Attention {
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    num_heads: i64,
}

impl Attention {
    /// Makes its parameters at `p`: tokens are `width` wide, those of the context `context`.
    pub(crate) fn new(
        p: &mut Scope<'_>,
        width: i64,
        context: i64,
        num_heads: i64,
        bias: bool,
    ) -> Result<Self> {
        Ok(Attention {
            q: Linear::new(&mut p.sub("to_q"), width, width, bias)?,
            k: Linear::new(&mut p.sub("to_k"), context, width, bias)?,
            v: Linear::new(&mut p.sub("to_v"), context, width, bias)?,
            out: Linear::new(&mut p.sub("to_out.0"), width, width, true)?,
            num_heads,
        })
    }

    /// `[batch, tokens, width]` to the same shape; `context` is `[batch, length, context]`.
    pub(crate) fn forward(&self, x: &Tensor, context: &Tensor) -> Result<Tensor> {
        let (q, k, v) = (self.q.forward(x)?, self.k.forward(context)?, self.v.forward(context)?);
        let [q, k, v] = [self.heads(&q)?, self.heads(&k)?, self.heads(&v)?];
        let out = Tensor::f_scaled_dot_product_attention(
            &q,
            &k,
            &v,
            None::<&Tensor>,
            0.0,
            false,
            None,
            false,
        )?;
        self.out.forward(&out.f_transpose(1, 2)?.f_flatten(2, 3)?)
    }

    /// `[batch, tokens, width]` to `[batch, heads, tokens, width / heads]`.
    fn heads(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_unflatten(2, [self.num_heads, -1])?.f_transpose(1, 2)?)
    }
}
