//! The residual block (diffusers' `ResnetBlock2D`).

use super::{ONE, add};
use tch::Tensor;
use tweedie_torch::Result;
use tweedie_torch::frozen::{Conv2d, Linear};
use tweedie_torch::ops::Around;
use tweedie_torch::parameters::{Conv2dConfig, GroupNorm, Scope};

/// Norm, SiLU, convolution, twice; the embedding of the time between them; and the way around.
#[derive(Debug)]
pub(crate) struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    time: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

impl ResnetBlock {
    /// Makes its parameters at `p`; `embed` is the width of the time's embedding, if there is one.
    pub(crate) fn new(
        p: &mut Scope<'_>,
        [inputs, outputs]: [i64; 2],
        embed: Option<i64>,
        groups: i64,
        eps: f64,
    ) -> Result<Self> {
        let three = Conv2dConfig::default();
        let time = match embed {
            Some(embed) => Some(Linear::new(&mut p.sub("time_emb_proj"), embed, outputs, true)?),
            None => None,
        };
        let shortcut = match inputs == outputs {
            true => None,
            false => Some(Conv2d::new(&mut p.sub("conv_shortcut"), inputs, outputs, ONE)?),
        };
        Ok(ResnetBlock {
            norm1: GroupNorm::new(&mut p.sub("norm1"), groups, inputs, eps)?,
            conv1: Conv2d::new(&mut p.sub("conv1"), inputs, outputs, three)?,
            time,
            norm2: GroupNorm::new(&mut p.sub("norm2"), groups, outputs, eps)?,
            conv2: Conv2d::new(&mut p.sub("conv2"), outputs, outputs, three)?,
            shortcut,
        })
    }

    /// `x` is `[batch, inputs, height, width]`, `emb` is SiLU of the embedding, `[batch, …]`.
    pub(crate) fn forward(&self, x: &Tensor, emb: Option<&Tensor>) -> Result<Tensor> {
        let h = self.norm1.forward_around(x, Around { shift: None, silu: true })?;
        let h = self.conv1.forward(&h)?;
        let shift = self.time.as_ref().zip(emb).map(|(time, emb)| time.forward(emb)).transpose()?;
        let h = self.norm2.forward_around(&h, Around { shift: shift.as_ref(), silu: true })?;
        let h = self.conv2.forward(&h)?;
        match &self.shortcut {
            Some(shortcut) => add(h, &shortcut.forward(x)?),
            None => add(h, x),
        }
    }
}
