//! The encoder and the decoder.

use super::VaeConfig;
use crate::nn::{Attention, Downsample, ResnetBlock, Upsample, add, image, tokens};
use tch::Tensor;
use tweedie_torch::Result;
use tweedie_torch::frozen::Conv2d;
use tweedie_torch::ops::Around;
use tweedie_torch::parameters::{Conv2dConfig, GroupNorm, Scope};

const EPS: f64 = 1e-6;

fn resnet(
    p: &mut Scope<'_>,
    k: i64,
    channels: [i64; 2],
    config: &VaeConfig,
) -> Result<ResnetBlock> {
    ResnetBlock::new(&mut p.sub("resnets").sub(k), channels, None, config.norm_num_groups, EPS)
}

/// The middle of either half: attention of all pixels between two residual blocks.
#[derive(Debug)]
struct Middle {
    first: ResnetBlock,
    attention: Option<(GroupNorm, Attention)>,
    second: ResnetBlock,
}

impl Middle {
    fn new(p: &mut Scope<'_>, channels: i64, config: &VaeConfig) -> Result<Self> {
        let first = resnet(p, 0, [channels; 2], config)?;
        let attention = match config.mid_block_add_attention {
            true => {
                let mut p = p.sub("attentions.0");
                let norm = GroupNorm::new(
                    &mut p.sub("group_norm"),
                    config.norm_num_groups,
                    channels,
                    EPS,
                )?;
                Some((norm, Attention::new(&mut p, channels, channels, 1, true)?))
            }
            false => None,
        };
        Ok(Middle { first, attention, second: resnet(p, 1, [channels; 2], config)? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut h = self.first.forward(x, None)?;
        if let Some((norm, attention)) = &self.attention {
            let pixels = tokens(&norm.forward(&h)?)?;
            h = add(image(&attention.forward(&pixels, &pixels)?, &h.size())?, &h)?;
        }
        self.second.forward(&h, None)
    }
}

/// Norm, SiLU, convolution.
#[derive(Debug)]
struct Out {
    norm: GroupNorm,
    conv: Conv2d,
}

impl Out {
    fn new(p: &mut Scope<'_>, inputs: i64, outputs: i64, config: &VaeConfig) -> Result<Self> {
        Ok(Out {
            norm: GroupNorm::new(&mut p.sub("conv_norm_out"), config.norm_num_groups, inputs, EPS)?,
            conv: Conv2d::new(&mut p.sub("conv_out"), inputs, outputs, Conv2dConfig::default())?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.norm.forward_around(x, Around { shift: None, silu: true })?;
        self.conv.forward(&h)
    }
}

/// From a picture to the mean and log-variance of its latent.
#[derive(Debug)]
pub(super) struct Encoder {
    conv_in: Conv2d,
    down: Vec<(Vec<ResnetBlock>, Option<Downsample>)>,
    middle: Middle,
    out: Out,
}

impl Encoder {
    pub(super) fn new(p: &mut Scope<'_>, config: &VaeConfig) -> Result<Self> {
        let channels = &config.block_out_channels;
        let three = Conv2dConfig::default();
        let conv_in = Conv2d::new(&mut p.sub("conv_in"), config.in_channels, channels[0], three)?;
        let (mut inputs, mut down) = (channels[0], Vec::new());
        for (i, &outputs) in channels.iter().enumerate() {
            let mut blocks = p.sub("down_blocks");
            let mut p = blocks.sub(i);
            let mut resnets = Vec::new();
            for k in 0..config.layers_per_block {
                resnets.push(resnet(&mut p, k, [inputs, outputs], config)?);
                inputs = outputs;
            }
            let way = match i + 1 == channels.len() {
                true => None,
                false => Some(Downsample::new(&mut p.sub("downsamplers.0"), outputs, 0)?),
            };
            down.push((resnets, way));
        }
        Ok(Encoder {
            conv_in,
            down,
            middle: Middle::new(&mut p.sub("mid_block"), inputs, config)?,
            out: Out::new(p, inputs, 2 * config.latent_channels, config)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut h = self.conv_in.forward(x)?;
        for (resnets, way) in &self.down {
            for resnet in resnets {
                h = resnet.forward(&h, None)?;
            }
            if let Some(way) = way {
                h = way.forward(&h)?;
            }
        }
        self.out.forward(&self.middle.forward(&h)?)
    }
}

/// From a latent to a picture.
#[derive(Debug)]
pub(super) struct Decoder {
    conv_in: Conv2d,
    middle: Middle,
    up: Vec<(Vec<ResnetBlock>, Option<Upsample>)>,
    out: Out,
}

impl Decoder {
    pub(super) fn new(p: &mut Scope<'_>, config: &VaeConfig) -> Result<Self> {
        let channels: Vec<i64> = config.block_out_channels.iter().rev().copied().collect();
        let three = Conv2dConfig::default();
        let mut inputs = channels[0];
        let conv_in = Conv2d::new(&mut p.sub("conv_in"), config.latent_channels, inputs, three)?;
        let middle = Middle::new(&mut p.sub("mid_block"), inputs, config)?;
        let mut up = Vec::new();
        for (i, &outputs) in channels.iter().enumerate() {
            let mut blocks = p.sub("up_blocks");
            let mut p = blocks.sub(i);
            let mut resnets = Vec::new();
            for k in 0..=config.layers_per_block {
                resnets.push(resnet(&mut p, k, [inputs, outputs], config)?);
                inputs = outputs;
            }
            let way = match i + 1 == channels.len() {
                true => None,
                false => Some(Upsample::new(&mut p.sub("upsamplers.0"), outputs)?),
            };
            up.push((resnets, way));
        }
        Ok(Decoder { conv_in, middle, up, out: Out::new(p, inputs, config.out_channels, config)? })
    }

    pub(super) fn forward(&self, z: &Tensor) -> Result<Tensor> {
        let mut h = self.middle.forward(&self.conv_in.forward(z)?)?;
        for (resnets, way) in &self.up {
            for resnet in resnets {
                h = resnet.forward(&h, None)?;
            }
            if let Some(way) = way {
                let size = h.size();
                h = way.forward(&h, [2 * size[2], 2 * size[3]])?;
            }
        }
        self.out.forward(&h)
    }
}
