//! Transformer blocks over the pixels of an image (diffusers' `Transformer2DModel`).

use super::{Attention, Matching, Merging, add, image, pointwise, tokens};
use tch::Tensor;
use tweedie_torch::Result;
use tweedie_torch::frozen::Linear;
use tweedie_torch::parameters::{GroupNorm, LayerNorm, Scope};

/// The settings of a [`Transformer2d`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct TransformerConfig {
    pub(crate) channels: i64,
    pub(crate) num_heads: i64,
    pub(crate) layers: i64,
    pub(crate) context: i64,
    pub(crate) norm_groups: i64,
    /// Whether the layers in front and behind are linear ones in the file, not 1×1 convolutions.
    pub(crate) linear: bool,
}

/// A norm, a layer in, the blocks, a layer out; added to what came in.
#[derive(Debug)]
pub(crate) struct Transformer2d {
    norm: GroupNorm,
    proj_in: Linear,
    blocks: Vec<Block>,
    proj_out: Linear,
}

impl Transformer2d {
    /// Makes its parameters at `p`.
    pub(crate) fn new(p: &mut Scope<'_>, config: TransformerConfig) -> Result<Self> {
        let TransformerConfig { channels, layers, norm_groups, linear, .. } = config;
        let block = |k| Block::new(&mut p.sub("transformer_blocks").sub(k), config);
        let blocks = (0..layers).map(block).collect::<Result<_>>()?;
        Ok(Transformer2d {
            norm: GroupNorm::new(&mut p.sub("norm"), norm_groups, channels, 1e-6)?,
            proj_in: pointwise(&mut p.sub("proj_in"), channels, channels, !linear)?,
            blocks,
            proj_out: pointwise(&mut p.sub("proj_out"), channels, channels, !linear)?,
        })
    }

    /// `[batch, channels, height, width]` to the same shape; `context` is `[batch, length, context]`.
    /// With `merging`, pixels that are alike attend to the others as one.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        context: &Tensor,
        merging: Option<Merging>,
    ) -> Result<Tensor> {
        let size = x.size();
        let mut h = self.proj_in.forward(&tokens(&self.norm.forward(x)?)?)?;
        for block in &self.blocks {
            let matching = match merging {
                Some(merging) => merging.matching(&h, [size[2], size[3]])?,
                None => None,
            };
            h = block.forward(h, context, matching.as_ref())?;
        }
        add(image(&self.proj_out.forward(&h)?, &size)?, x)
    }
}

/// Attention of the pixels to each other, to the context, and a gated feed-forward layer
/// (diffusers' `BasicTransformerBlock`).
#[derive(Debug)]
struct Block {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    widen: Linear,
    narrow: Linear,
}

impl Block {
    fn new(p: &mut Scope<'_>, config: TransformerConfig) -> Result<Self> {
        let TransformerConfig { channels: width, num_heads: heads, context, .. } = config;
        let norm = |p: &mut Scope<'_>, name| LayerNorm::new(&mut p.sub(name), width, 1e-5);
        Ok(Block {
            norm1: norm(p, "norm1")?,
            attn1: Attention::new(&mut p.sub("attn1"), width, width, heads, false)?,
            norm2: norm(p, "norm2")?,
            attn2: Attention::new(&mut p.sub("attn2"), width, context, heads, false)?,
            norm3: norm(p, "norm3")?,
            widen: Linear::new(&mut p.sub("ff.net.0.proj"), width, 8 * width, true)?,
            narrow: Linear::new(&mut p.sub("ff.net.2"), 4 * width, width, true)?,
        })
    }

    fn forward(&self, x: Tensor, context: &Tensor, matching: Option<&Matching>) -> Result<Tensor> {
        let h = self.norm1.forward(&x);
        let h = match matching {
            Some(matching) => {
                let h = matching.merge(&h)?;
                matching.unmerge(&self.attn1.forward(&h, &h)?)?
            }
            None => self.attn1.forward(&h, &h)?,
        };
        let x = add(h, &x)?;
        let x = add(self.attn2.forward(&self.norm2.forward(&x), context)?, &x)?;
        let h = self.widen.forward(&self.norm3.forward(&x))?;
        add(self.narrow.forward(&geglu(&h)?)?, &x)
    }
}

/// The first half times GELU of the second (Shazeer, arXiv:2002.05202).
fn geglu(x: &Tensor) -> Result<Tensor> {
    let width = x.size()[2] / 2;
    let (h, gate) = (x.f_narrow(2, 0, width)?, x.f_narrow(2, width, width)?);
    Ok(gate.f_gelu("none")?.f_mul_(&h)?)
}
