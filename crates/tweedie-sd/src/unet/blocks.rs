//! One resolution of the UNet, on the way down, in the middle, and on the way up.

use super::{UnetConfig, embedding::Embedding};
use crate::nn::{Downsample, Merging, ResnetBlock, Transformer2d, TransformerConfig, Upsample};
use tch::Tensor;
use tweedie_torch::Result;
use tweedie_torch::parameters::Scope;

/// What every layer is told.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    /// The time and what else is a vector, `[batch, width]`.
    pub(super) emb: &'a Tensor,
    /// The prompt, `[batch, length, width]`.
    pub(super) context: &'a Tensor,
    /// Whether pixels that are alike attend to each other as one.
    pub(super) merging: Option<Merging>,
}

/// A residual block and, where there is one, the attention behind it.
#[derive(Debug)]
struct Layer {
    resnet: ResnetBlock,
    attention: Option<Transformer2d>,
}

impl Layer {
    fn forward(&self, x: &Tensor, told: Told<'_>) -> Result<Tensor> {
        let h = self.resnet.forward(x, Some(told.emb))?;
        match &self.attention {
            Some(attention) => attention.forward(&h, told.context, told.merging),
            None => Ok(h),
        }
    }
}

/// The `index`-th resolution's settings.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) config: &'a UnetConfig,
    pub(super) index: usize,
}

impl At<'_> {
    fn resnet(self, p: &mut Scope<'_>, k: usize, channels: [i64; 2]) -> Result<ResnetBlock> {
        let UnetConfig { norm_num_groups, norm_eps, .. } = *self.config;
        let embed = Some(Embedding::width(self.config));
        ResnetBlock::new(&mut p.sub("resnets").sub(k), channels, embed, norm_num_groups, norm_eps)
    }

    fn attention(self, p: &mut Scope<'_>, k: usize) -> Result<Transformer2d> {
        let (c, i) = (self.config, self.index);
        let settings = TransformerConfig {
            channels: c.block_out_channels[i],
            num_heads: c.num_heads[i],
            layers: c.transformer_layers[i],
            context: c.cross_attention_dim,
            norm_groups: c.norm_num_groups,
            linear: c.use_linear_projection,
        };
        Transformer2d::new(&mut p.sub("attentions").sub(k), settings)
    }

    fn layer(
        self,
        p: &mut Scope<'_>,
        k: usize,
        channels: [i64; 2],
        attends: bool,
    ) -> Result<Layer> {
        let resnet = self.resnet(p, k, channels)?;
        let attention = if attends { Some(self.attention(p, k)?) } else { None };
        Ok(Layer { resnet, attention })
    }
}

/// A resolution on the way down.
#[derive(Debug)]
pub(super) struct Down {
    layers: Vec<Layer>,
    downsample: Option<Downsample>,
}

impl Down {
    /// Makes its parameters at `p`, for `inputs` channels; `skips` learns what it will leave behind.
    pub(super) fn new(
        p: &mut Scope<'_>,
        at: At<'_>,
        inputs: i64,
        skips: &mut Vec<i64>,
    ) -> Result<Self> {
        let (c, i) = (at.config, at.index);
        let channels = c.block_out_channels[i];
        let mut layers = Vec::new();
        for k in 0..c.layers_per_block[i] as usize {
            let from = if k == 0 { inputs } else { channels };
            layers.push(at.layer(p, k, [from, channels], c.down_attention[i])?);
            skips.push(channels);
        }
        let last = i + 1 == c.block_out_channels.len();
        let downsample = match last {
            true => None,
            false => {
                skips.push(channels);
                Some(Downsample::new(&mut p.sub("downsamplers.0"), channels, 1)?)
            }
        };
        Ok(Down { layers, downsample })
    }

    /// Leaves in `skips` what the way up will want; stops when `most` are there.
    pub(super) fn forward(
        &self,
        mut x: Tensor,
        told: Told<'_>,
        skips: &mut Vec<Tensor>,
        most: usize,
    ) -> Result<Tensor> {
        for layer in &self.layers {
            if skips.len() >= most {
                return Ok(x);
            }
            x = layer.forward(&x, told)?;
            skips.push(x.shallow_clone());
        }
        if let Some(downsample) = self.downsample.as_ref().filter(|_| skips.len() < most) {
            x = downsample.forward(&x)?;
            skips.push(x.shallow_clone());
        }
        Ok(x)
    }
}

/// The middle: a residual block, then attention and another.
#[derive(Debug)]
pub(super) struct Middle {
    first: Layer,
    second: ResnetBlock,
}

impl Middle {
    pub(super) fn new(p: &mut Scope<'_>, config: &UnetConfig) -> Result<Self> {
        let at = At { config, index: config.block_out_channels.len() - 1 };
        let channels = [config.block_out_channels[at.index]; 2];
        Ok(Middle {
            first: at.layer(p, 0, channels, config.mid_attention)?,
            second: at.resnet(p, 1, channels)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, told: Told<'_>) -> Result<Tensor> {
        let h = self.first.forward(x, told)?;
        self.second.forward(&h, Some(told.emb))
    }
}

/// A resolution on the way up.
#[derive(Debug)]
pub(super) struct Up {
    layers: Vec<Layer>,
    upsample: Option<Upsample>,
}

impl Up {
    /// Makes its parameters at `p`, for `inputs` channels from below and what `skips` holds.
    pub(super) fn new(
        p: &mut Scope<'_>,
        at: At<'_>,
        mut inputs: i64,
        skips: &mut Vec<i64>,
    ) -> Result<Self> {
        let (c, i) = (at.config, at.index);
        let channels = c.block_out_channels[i];
        let attends = c.up_attention[c.up_attention.len() - 1 - i];
        let mut layers = Vec::new();
        for k in 0..=c.layers_per_block[i] as usize {
            let skip = skips.pop().unwrap_or(0);
            layers.push(at.layer(p, k, [inputs + skip, channels], attends)?);
            inputs = channels;
        }
        let upsample = match i {
            0 => None,
            _ => Some(Upsample::new(&mut p.sub("upsamplers.0"), channels)?),
        };
        Ok(Up { layers, upsample })
    }

    /// How many layers it has, each of which takes one of the skips.
    pub(super) fn len(&self) -> usize {
        self.layers.len()
    }

    /// Takes from `skips` what the way down left. `x` is what comes to the `first` layer; `watch` sees
    /// what comes to each, and for how many layers there are skips left.
    pub(super) fn forward(
        &self,
        mut x: Tensor,
        first: usize,
        told: Told<'_>,
        skips: &mut Vec<Tensor>,
        watch: &mut dyn FnMut(usize, &Tensor),
    ) -> Result<Tensor> {
        for layer in self.layers.iter().skip(first) {
            watch(skips.len(), &x);
            if let Some(skip) = skips.pop() {
                x = Tensor::f_cat(&[x, skip], 1)?;
            }
            x = layer.forward(&x, told)?;
        }
        match (&self.upsample, skips.last()) {
            (Some(upsample), Some(next)) => {
                let size = next.size();
                upsample.forward(&x, [size[2], size[3]])
            }
            _ => Ok(x),
        }
    }
}
