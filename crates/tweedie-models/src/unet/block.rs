//! The blocks of a U-Net: residual, attention, and the ways between resolutions.

use super::config::UnetConfig;
use super::dropout::Dropout;
use crate::transformer::{Attention, AttentionConfig};
use tch::Tensor;
use tweedie_torch::Result;
use tweedie_torch::ops::Around;
use tweedie_torch::parameters::{Conv2d, Conv2dConfig, GroupNorm, Linear, Scope};

const EPS: f64 = 1e-6;
const ONE: Conv2dConfig = Conv2dConfig { kernel: 1, stride: 1, padding: 0, groups: 1, bias: true };

/// What a residual block does to the resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Down,
    Up,
}

impl Change {
    fn apply(self, x: Tensor) -> Tensor {
        match self {
            Change::None => x,
            Change::Down => x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None),
            Change::Up => double(&x),
        }
    }
}

/// Every pixel four times.
fn double(x: &Tensor) -> Tensor {
    let size = x.size();
    x.upsample_nearest2d([2 * size[2], 2 * size[3]], None, None)
}

/// Norm, SiLU, convolution; the embedding; norm, SiLU, dropout, convolution; and the way around
/// (smalldiffusion's `ResnetBlock`: `layer1`, `temb_proj`, `layer2`, `shortcut`).
#[derive(Debug)]
pub(super) struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    embed: Linear,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
    change: Change,
    dropout: f64,
    scale_shift: bool,
    skip_scale: f64,
}

impl ResnetBlock {
    pub(super) fn new(
        p: &mut Scope<'_>,
        inputs: i64,
        outputs: i64,
        change: Change,
        config: &UnetConfig,
    ) -> Result<Self> {
        let embed_width = config.ch * config.embed_ch_mult;
        let numbers = if config.scale_shift_norm { 2 * outputs } else { outputs };
        let (groups, three) = (config.norm_groups, Conv2dConfig::default());
        let norm1 = GroupNorm::new(&mut p.sub("layer1.0"), groups, inputs, EPS)?;
        let conv1 = Conv2d::new(&mut p.sub("layer1.2"), inputs, outputs, three)?;
        let embed = Linear::new(&mut p.sub("temb_proj.1"), embed_width, numbers, true)?;
        let norm2 = GroupNorm::new(&mut p.sub("layer2.0"), groups, outputs, EPS)?;
        let conv2 = Conv2d::new(&mut p.sub("layer2.3"), outputs, outputs, three)?;
        let shortcut = match inputs == outputs {
            true => None,
            false => Some(Conv2d::new(&mut p.sub("shortcut"), inputs, outputs, ONE)?),
        };
        Ok(ResnetBlock {
            norm1,
            conv1,
            embed,
            norm2,
            conv2,
            shortcut,
            change,
            dropout: config.dropout,
            scale_shift: config.scale_shift_norm,
            skip_scale: config.skip_scale,
        })
    }

    /// `x` is `[batch, inputs, height, width]`, `emb` is SiLU of the embedding, `[batch, …]`.
    pub(super) fn forward(&self, x: &Tensor, emb: &Tensor, dropout: &Dropout) -> Result<Tensor> {
        let silu = |shift| Around { shift, silu: true };
        let h = self.change.apply(self.norm1.forward_around(x, silu(None))?);
        let emb = self.embed.forward(emb);
        let h = self.conv1.forward(&h);
        let h = match (self.scale_shift, &emb.chunk(2, 1)[..]) {
            (true, [scale, shift]) => self.norm2.forward_adaptive(&h, scale, shift)?,
            _ => self.norm2.forward_around(&h, silu(Some(&emb)))?,
        };
        let h = self.conv2.forward(&dropout.apply(h, self.dropout)?);
        let around = match &self.shortcut {
            Some(shortcut) => shortcut.forward(&self.change.apply(x.shallow_clone())),
            None => self.change.apply(x.shallow_clone()),
        };
        Ok(scaled(add(h, &around), self.skip_scale))
    }

    /// The convolution that begins as 0 where that is wanted.
    pub(super) fn last(&self) -> &Conv2d {
        &self.conv2
    }
}

/// In the memory of `h`, which nobody else holds and no gradient needs.
fn add(mut h: Tensor, other: &Tensor) -> Tensor {
    h.g_add_(other)
}

fn scaled(mut h: Tensor, factor: f64) -> Tensor {
    if factor == 1.0 { h } else { h.g_mul_scalar_(factor) }
}

/// Norm, attention of all pixels to each other, convolution; added to what came in
/// (smalldiffusion's `AttnBlock`).
#[derive(Debug)]
pub(super) struct AttentionBlock {
    norm: GroupNorm,
    attn: Attention,
    proj_out: Conv2d,
    skip_scale: f64,
}

impl AttentionBlock {
    pub(super) fn new(p: &mut Scope<'_>, channels: i64, config: &UnetConfig) -> Result<Self> {
        let num_heads = config.num_heads(channels);
        let head_dim = channels / num_heads;
        let (qkv_bias, qk_norm, causal) = (false, false, false);
        let heads = AttentionConfig { num_heads, head_dim, qkv_bias, qk_norm, causal };
        Ok(AttentionBlock {
            norm: GroupNorm::new(&mut p.sub("norm"), config.norm_groups, channels, EPS)?,
            attn: Attention::new(&mut p.sub("attn"), heads)?,
            proj_out: Conv2d::new(&mut p.sub("proj_out"), channels, channels, ONE)?,
            skip_scale: config.skip_scale,
        })
    }

    /// `[batch, channels, height, width]` to the same shape. With `identity` pixels attend to
    /// themselves alone.
    pub(super) fn forward(&self, x: &Tensor, identity: bool) -> Result<Tensor> {
        let size = x.size();
        let tokens = self.norm.forward(x)?.flatten(2, 3).transpose(1, 2);
        let h = match identity {
            true => self.attn.forward_identity(&tokens),
            false => self.attn.forward(&tokens, None),
        };
        let h = h.transpose(1, 2).reshape(&size);
        Ok(scaled(add(self.proj_out.forward(&h), x), self.skip_scale))
    }

    /// The convolution that begins as 0 where that is wanted.
    pub(super) fn last(&self) -> &Conv2d {
        &self.proj_out
    }
}

/// From one resolution to the next.
#[derive(Debug)]
pub(super) enum Way {
    /// Zeros at the right and below, then a convolution of stride 2.
    Down(Conv2d),
    /// Every pixel four times, then a convolution.
    Up(Conv2d),
    /// A residual block that does either.
    Block(Box<ResnetBlock>),
}

impl Way {
    pub(super) fn down(p: &mut Scope<'_>, channels: i64) -> Result<Self> {
        let halving = Conv2dConfig { stride: 2, padding: 0, ..Default::default() };
        Ok(Way::Down(Conv2d::new(&mut p.sub("downsample.1"), channels, channels, halving)?))
    }

    pub(super) fn up(p: &mut Scope<'_>, channels: i64) -> Result<Self> {
        let three = Conv2dConfig::default();
        Ok(Way::Up(Conv2d::new(&mut p.sub("upsample.1"), channels, channels, three)?))
    }

    pub(super) fn forward(&self, x: &Tensor, emb: &Tensor, dropout: &Dropout) -> Result<Tensor> {
        Ok(match self {
            Way::Down(conv) => conv.forward(&x.f_constant_pad_nd([0, 1, 0, 1])?),
            Way::Up(conv) => conv.forward(&double(x)),
            Way::Block(block) => block.forward(x, emb, dropout)?,
        })
    }
}
