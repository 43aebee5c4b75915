//! Attention of tokens to each other and to a context (Vaswani et al., arXiv:1706.03762).

use super::Rope;
use tch::Tensor;
use tweedie_torch::Result;
use tweedie_torch::parameters::{Linear, RmsNorm, Scope};

/// Self-attention with several heads: parameters `qkv` and `proj`, as smalldiffusion and DiT name
/// them, and `q_norm` and `k_norm` where queries and keys are normalised.
#[derive(Debug)]
pub struct Attention {
    qkv: Linear,
    proj: Linear,
    qk_norm: Option<QkNorm>,
    num_heads: i64,
    causal: bool,
}

/// The settings of an [`Attention`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionConfig {
    /// Heads beside each other.
    pub num_heads: i64,
    /// The width of each.
    pub head_dim: i64,
    /// Whether queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// Whether queries and keys are brought to a root mean square of 1 (Henry et al.,
    /// arXiv:2010.04245; by RMS norm as Stable Diffusion 3 does, arXiv:2403.03206).
    pub qk_norm: bool,
    /// Whether a token attends to itself and those before it alone. Of attention to each other.
    pub causal: bool,
}

impl AttentionConfig {
    /// The width of a token.
    pub fn width(&self) -> i64 {
        self.num_heads * self.head_dim
    }
}

impl Attention {
    /// Makes its parameters at `p`.
    pub fn new(p: &mut Scope<'_>, config: AttentionConfig) -> Result<Self> {
        let width = config.width();
        Ok(Attention {
            qkv: Linear::new(&mut p.sub("qkv"), width, 3 * width, config.qkv_bias)?,
            proj: Linear::new(&mut p.sub("proj"), width, width, true)?,
            qk_norm: QkNorm::new(p, config)?,
            num_heads: config.num_heads,
            causal: config.causal,
        })
    }

    /// `[batch, tokens, width]` to the same shape, with the identity for its map: every token
    /// attends to itself alone (perturbed-attention guidance, arXiv:2403.17377).
    pub fn forward_identity(&self, x: &Tensor) -> Tensor {
        let v = heads(&self.qkv.forward(x), 3, self.num_heads).get(2);
        self.proj.forward(&v.transpose(1, 2).flatten(2, 3))
    }

    /// `[batch, tokens, width]` to the same shape; positions enter where there is a `rope`.
    pub fn forward(&self, x: &Tensor, rope: Option<&Rope>) -> Tensor {
        let qkv = heads(&self.qkv.forward(x), 3, self.num_heads);
        let (mut q, mut k) = (qkv.get(0), qkv.get(1));
        if let Some(norm) = &self.qk_norm {
            (q, k) = norm.forward(&q, &k);
        }
        if let Some(rope) = rope {
            (q, k) = (rope.rotate(&q), rope.rotate(&k));
        }
        self.proj.forward(&attend(&q, &k, &qkv.get(2), self.causal))
    }

    /// Its linear layers, for networks that initialise them anew.
    pub(crate) fn linears(&self) -> [&Linear; 2] {
        [&self.qkv, &self.proj]
    }
}

/// Attention of tokens to a context: parameters `q`, `kv` and `proj`.
#[derive(Debug)]
pub struct CrossAttention {
    q: Linear,
    kv: Linear,
    proj: Linear,
    qk_norm: Option<QkNorm>,
    num_heads: i64,
}

impl CrossAttention {
    /// Makes its parameters at `p`; tokens of the context are `context_dim` wide.
    pub fn new(p: &mut Scope<'_>, config: AttentionConfig, context_dim: i64) -> Result<Self> {
        let width = config.width();
        Ok(CrossAttention {
            q: Linear::new(&mut p.sub("q"), width, width, config.qkv_bias)?,
            kv: Linear::new(&mut p.sub("kv"), context_dim, 2 * width, config.qkv_bias)?,
            proj: Linear::new(&mut p.sub("proj"), width, width, true)?,
            qk_norm: QkNorm::new(p, config)?,
            num_heads: config.num_heads,
        })
    }

    /// `[batch, tokens, width]` and `[batch, length, context_dim]` to the first's shape.
    pub fn forward(&self, x: &Tensor, context: &Tensor) -> Tensor {
        let mut q = heads(&self.q.forward(x), 1, self.num_heads).get(0);
        let kv = heads(&self.kv.forward(context), 2, self.num_heads);
        let mut k = kv.get(0);
        if let Some(norm) = &self.qk_norm {
            (q, k) = norm.forward(&q, &k);
        }
        self.proj.forward(&attend(&q, &k, &kv.get(1), false))
    }

    /// Its linear layers, for networks that initialise them anew.
    pub(crate) fn linears(&self) -> [&Linear; 3] {
        [&self.q, &self.kv, &self.proj]
    }
}

#[derive(Debug)]
struct QkNorm {
    q: RmsNorm,
    k: RmsNorm,
}

impl QkNorm {
    fn new(p: &mut Scope<'_>, config: AttentionConfig) -> Result<Option<Self>> {
        if !config.qk_norm {
            return Ok(None);
        }
        Ok(Some(QkNorm {
            q: RmsNorm::new(&mut p.sub("q_norm"), config.head_dim, 1e-6)?,
            k: RmsNorm::new(&mut p.sub("k_norm"), config.head_dim, 1e-6)?,
        }))
    }

    fn forward(&self, q: &Tensor, k: &Tensor) -> (Tensor, Tensor) {
        (self.q.forward(q), self.k.forward(k))
    }
}

/// `[batch, tokens, parts·heads·head_dim]` to `[parts, batch, heads, tokens, head_dim]`.
fn heads(x: &Tensor, parts: i64, num_heads: i64) -> Tensor {
    let size = x.size();
    let head_dim = size[2] / (parts * num_heads);
    x.view([size[0], size[1], parts, num_heads, head_dim]).permute([2, 0, 3, 1, 4])
}

/// `softmax(q·kᵀ / √head_dim)·v`, `[batch, heads, tokens, head_dim]` to
/// `[batch, tokens, heads·head_dim]`; `causal`: each token over itself and those before it.
fn attend(q: &Tensor, k: &Tensor, v: &Tensor, causal: bool) -> Tensor {
    let out =
        Tensor::scaled_dot_product_attention(q, k, v, None::<&Tensor>, 0.0, causal, None, false);
    out.transpose(1, 2).flatten(2, 3)
}
