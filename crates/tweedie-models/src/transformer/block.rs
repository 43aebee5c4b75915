//! A transformer block whose norms and gates are set by the condition.

use super::{Attention, AttentionConfig, CrossAttention, Rope};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_torch::parameters::{LayerNorm, Linear, Scope};
use tweedie_torch::{Result, ops};

const EPS: f64 = 1e-6;

/// Between the two layers of a block's perceptron.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Perceptron {
    /// GELU by tanh.
    #[default]
    Gelu,
    /// One half times SiLU of the other (Shazeer, arXiv:2002.05202). The hidden layer is two thirds
    /// as wide, so that it costs the same.
    SwiGlu,
}

impl Perceptron {
    /// The width of the hidden layer for tokens of `width`.
    pub(crate) fn hidden(self, width: i64, mlp_ratio: f64) -> i64 {
        let hidden = width as f64 * mlp_ratio;
        match self {
            Perceptron::Gelu => hidden as i64,
            Perceptron::SwiGlu => (hidden * 2.0 / 3.0) as i64,
        }
    }
}

/// What a block is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockConfig {
    pub(crate) num_heads: i64,
    pub(crate) head_dim: i64,
    pub(crate) qk_norm: bool,
    pub(crate) causal: bool,
    pub(crate) mlp: Perceptron,
    /// The width of the perceptron's hidden layer.
    pub(crate) hidden: i64,
    /// The width of a context's tokens, where the block has a layer to attend to them.
    pub(crate) cross_dim: Option<i64>,
}

/// Numbers of the condition for every token: two vectors as wide as a token, out of one linear
/// layer (`proj.1`, behind a SiLU that all modulations share).
#[derive(Debug)]
pub(crate) struct Modulation {
    proj: Linear,
    width: i64,
}

impl Modulation {
    fn new(p: &mut Scope<'_>, width: i64) -> Result<Self> {
        Ok(Modulation { proj: Linear::new(&mut p.sub("proj.1"), width, 2 * width, true)?, width })
    }

    /// SiLU of the condition, `[batch, width]`, to two of `[batch, 1, width]`.
    fn forward(&self, y: &Tensor) -> [Tensor; 2] {
        let both = self.proj.forward(y).unsqueeze(1);
        [0, self.width].map(|from| both.narrow(2, from, self.width))
    }

    pub(crate) fn linear(&self) -> &Linear {
        &self.proj
    }
}

/// `LN(x)·(1 + scale) + shift` with both from the condition.
#[derive(Debug)]
pub(crate) struct ModulatedLayerNorm {
    pub(crate) modulation: Modulation,
}

impl ModulatedLayerNorm {
    pub(crate) fn new(p: &mut Scope<'_>, width: i64) -> Result<Self> {
        Ok(ModulatedLayerNorm { modulation: Modulation::new(&mut p.sub("modulation"), width)? })
    }

    /// `x` is `[batch, tokens, width]`, `y` is SiLU of the condition.
    pub(crate) fn forward(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let [scale, shift] = self.modulation.forward(y);
        ops::modulated_norm(x, &scale, &shift, EPS)
    }
}

/// Two layers with something between them: `mlp.0` and `mlp.2`.
#[derive(Debug)]
struct Mlp {
    layers: [Linear; 2],
    kind: Perceptron,
}

impl Mlp {
    fn new(p: &mut Scope<'_>, width: i64, config: BlockConfig) -> Result<Self> {
        let hidden = config.hidden;
        let parts = match config.mlp {
            Perceptron::Gelu => 1,
            Perceptron::SwiGlu => 2,
        };
        let layers = [
            Linear::new(&mut p.sub(0), width, parts * hidden, true)?,
            Linear::new(&mut p.sub(2), hidden, width, true)?,
        ];
        Ok(Mlp { layers, kind: config.mlp })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.layers[0].forward(x);
        let h = match self.kind {
            Perceptron::Gelu => ops::gelu(h)?,
            Perceptron::SwiGlu => {
                let halves = h.chunk(2, -1);
                halves[0].silu() * &halves[1]
            }
        };
        Ok(self.layers[1].forward(&h))
    }
}

/// smalldiffusion's `DiTBlock`, with more settings: attention and a perceptron, each behind a norm
/// and before a gate that the condition sets; between them attention to a context, if there is one.
#[derive(Debug)]
pub(crate) struct Block {
    norm1: ModulatedLayerNorm,
    attn: Attention,
    cross: Option<(LayerNorm, CrossAttention)>,
    norm2: ModulatedLayerNorm,
    mlp: Mlp,
    gates: Modulation,
}

impl Block {
    pub(crate) fn new(p: &mut Scope<'_>, config: BlockConfig) -> Result<Self> {
        let BlockConfig { num_heads, head_dim, qk_norm, causal, .. } = config;
        let attention = AttentionConfig { num_heads, head_dim, qkv_bias: true, qk_norm, causal };
        let width = attention.width();
        let norm1 = ModulatedLayerNorm::new(&mut p.sub("norm1"), width)?;
        let attn = Attention::new(&mut p.sub("attn"), attention)?;
        let cross = match config.cross_dim {
            Some(context_dim) => Some((
                LayerNorm::new(&mut p.sub("cross_norm"), width, EPS)?,
                CrossAttention::new(&mut p.sub("cross_attn"), attention, context_dim)?,
            )),
            None => None,
        };
        Ok(Block {
            norm1,
            attn,
            cross,
            norm2: ModulatedLayerNorm::new(&mut p.sub("norm2"), width)?,
            mlp: Mlp::new(&mut p.sub("mlp"), width, config)?,
            gates: Modulation::new(&mut p.sub("scale_modulation"), width)?,
        })
    }

    /// `x` is `[batch, tokens, width]`, `y` is SiLU of the condition, `[batch, width]`. With
    /// `identity` tokens attend to themselves alone, not to each other.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        y: &Tensor,
        (context, rope): (Option<&Tensor>, Option<&Rope>),
        identity: bool,
    ) -> Result<Tensor> {
        let [gate_attn, gate_mlp] = self.gates.forward(y);
        let h = self.norm1.forward(x, y)?;
        let h = match identity {
            true => self.attn.forward_identity(&h),
            false => self.attn.forward(&h, rope),
        };
        let mut x = ops::gated(x, &gate_attn, &h)?;
        if let (Some((norm, cross)), Some(context)) = (&self.cross, context) {
            x = &x + cross.forward(&norm.forward(&x), context);
        }
        ops::gated(&x, &gate_mlp, &self.mlp.forward(&self.norm2.forward(&x, y)?)?)
    }

    /// Linear layers in the order in which PyTorch's `apply` visits them.
    pub(crate) fn linears(&self) -> Vec<&Linear> {
        let mut linears = vec![self.norm1.modulation.linear()];
        linears.extend(self.attn.linears());
        linears.extend(self.cross.iter().flat_map(|(_, cross)| cross.linears()));
        linears.push(self.norm2.modulation.linear());
        linears.extend(&self.mlp.layers);
        linears.push(self.gates.linear());
        linears
    }

    /// The layers that are 0 where blocks begin as the identity.
    pub(crate) fn modulations(&self) -> [&Linear; 3] {
        [self.norm1.modulation.linear(), self.norm2.modulation.linear(), self.gates.linear()]
    }
}
