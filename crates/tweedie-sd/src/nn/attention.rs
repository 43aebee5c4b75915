//! Attention (diffusers' `Attention`, transformers' `CLIPAttention`).

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
    causal: bool,
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
        Self::named(p, ["to_q", "to_k", "to_v", "to_out.0"], [width, context], num_heads, bias)
    }

    /// The causal one of tokens to each other that CLIP has, under transformers' names.
    pub(crate) fn causal(p: &mut Scope<'_>, width: i64, num_heads: i64) -> Result<Self> {
        let names = ["q_proj", "k_proj", "v_proj", "out_proj"];
        Ok(Attention { causal: true, ..Self::named(p, names, [width; 2], num_heads, true)? })
    }

    fn named(
        p: &mut Scope<'_>,
        [q, k, v, out]: [&str; 4],
        [width, context]: [i64; 2],
        num_heads: i64,
        bias: bool,
    ) -> Result<Self> {
        Ok(Attention {
            q: Linear::new(&mut p.sub(q), width, width, bias)?,
            k: Linear::new(&mut p.sub(k), context, width, bias)?,
            v: Linear::new(&mut p.sub(v), context, width, bias)?,
            out: Linear::new(&mut p.sub(out), width, width, true)?,
            num_heads,
            causal: false,
        })
    }

    /// `[batch, tokens, width]` to the same shape; `context` is `[batch, length, context]`.
    pub(crate) fn forward(&self, x: &Tensor, context: &Tensor) -> Result<Tensor> {
        let (q, k, v) = (self.q.forward(x)?, self.k.forward(context)?, self.v.forward(context)?);
        let [q, k, v] = [self.heads(&q)?, self.heads(&k)?, self.heads(&v)?];
        let mask = None::<&Tensor>;
        let out = Tensor::f_scaled_dot_product_attention(
            &q,
            &k,
            &v,
            mask,
            0.0,
            self.causal,
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
