//! The U-Net of DDPM (Ho et al., arXiv:2006.11239) and its kin, as smalldiffusion has it and with
//! the settings that ADM and EDM added.

mod block;
mod config;
mod dropout;
mod pass;

pub use config::{Heads, Resample, UnetConfig};

use crate::checkpointing;
use crate::embed::{ClassEmbedder, ClassEmbedding, NoiseEmbedder, NoiseEmbedding};
use crate::{Gradients, Loss, ModelSpec, SelfAttention, Trainable};
use block::{AttentionBlock, Change, ResnetBlock, Way};
use dropout::Dropout;
use tch::{Device, Kind, Tensor};
use tweedie_core::{Cond, Network, NoiseInput, Result};
use tweedie_torch::parameters::{Conv2d, Conv2dConfig, GroupNorm, Init, Parameters, Scope};
use tweedie_torch::rng::Generator;

/// Residual blocks at falling, then at rising resolutions; what each block on the way down makes
/// goes into one on the way up as well. Its parameters have smalldiffusion's names.
#[derive(Debug)]
pub struct Unet {
    config: UnetConfig,
    parameters: Parameters,
    compute: Kind,
    checkpoints: bool,
    sig_embed: NoiseEmbedder,
    cond_embed: Option<ClassEmbedder>,
    conv_in: Conv2d,
    downs: Vec<Level>,
    mid: (ResnetBlock, AttentionBlock, ResnetBlock),
    ups: Vec<Level>,
    out_norm: GroupNorm,
    out_conv: Conv2d,
}

/// The blocks of one resolution, and the way to the next.
#[derive(Debug)]
struct Level {
    blocks: Vec<Block>,
    way: Option<Way>,
}

/// A residual block, and attention behind it where the resolution has it.
#[derive(Debug)]
struct Block {
    resnet: ResnetBlock,
    attention: Option<AttentionBlock>,
}

impl Block {
    fn new(
        p: &mut Scope<'_>,
        inputs: i64,
        outputs: i64,
        resolution: i64,
        config: &UnetConfig,
    ) -> tweedie_torch::Result<Self> {
        let resnet = ResnetBlock::new(&mut p.sub(0), inputs, outputs, Change::None, config)?;
        let attention = match config.attn_resolutions.contains(&resolution) {
            true => Some(AttentionBlock::new(&mut p.sub(1), outputs, config)?),
            false => None,
        };
        Ok(Block { resnet, attention })
    }

    fn forward(
        &self,
        x: &Tensor,
        emb: &Tensor,
        dropout: &Dropout,
        identity: bool,
    ) -> tweedie_torch::Result<Tensor> {
        let h = self.resnet.forward(x, emb, dropout)?;
        match &self.attention {
            Some(attention) => attention.forward(&h, identity),
            None => Ok(h),
        }
    }
}

/// The way to the next resolution, by the kind that the settings say.
fn way(
    p: &mut Scope<'_>,
    channels: i64,
    change: Change,
    config: &UnetConfig,
) -> tweedie_torch::Result<Way> {
    let block = |p: &mut Scope<'_>, name| {
        let block = ResnetBlock::new(&mut p.sub(name), channels, channels, change, config)?;
        Ok(Way::Block(Box::new(block)))
    };
    match (config.resample, change) {
        (Resample::Conv, Change::Up) => Way::up(p, channels),
        (Resample::Conv, _) => Way::down(p, channels),
        (Resample::Resblock, Change::Up) => block(p, "upsample"),
        (Resample::Resblock, _) => block(p, "downsample"),
    }
}

impl Unet {
    /// A network whose weights are those of
    /// `torch.manual_seed(seed); Unet(…, cond_embed=CondEmbedderLabel(…))` of smalldiffusion, for
    /// settings that it has.
    pub fn new(config: &UnetConfig, seed: u64, kind: Kind, device: Device) -> crate::Result<Self> {
        config.check()?;
        let mut parameters = Parameters::new(seed, kind, device)?;
        let mut root = parameters.root();
        let UnetConfig { channels, ch, num_classes, dropout_prob, .. } = *config;
        let embed_width = ch * config.embed_ch_mult;
        // What smalldiffusion is given is drawn before what it makes itself.
        let own = config.noise_embedding == NoiseEmbedding::SinCos;
        let embed_noise = |root: &mut Scope<'_>| {
            config.noise_embedding.build(&mut root.sub("sig_embed"), embed_width)
        };
        let given = if own { None } else { Some(embed_noise(&mut root)?) };
        let mut p = root.sub("cond_embed");
        let cond_embed =
            ClassEmbedding::Mlp.build(&mut p, embed_width, num_classes, dropout_prob)?;
        let sig_embed = given.map_or_else(|| embed_noise(&mut root), Ok)?;
        let three = Conv2dConfig::default();
        let conv_in = Conv2d::new(&mut root.sub("conv_in"), channels, ch, three)?;
        let (downs, width) = Self::downs(&mut root, config)?;
        let mid = (
            ResnetBlock::new(&mut root.sub("mid.0"), width, width, Change::None, config)?,
            AttentionBlock::new(&mut root.sub("mid.1"), width, config)?,
            ResnetBlock::new(&mut root.sub("mid.2"), width, width, Change::None, config)?,
        );
        let (ups, width) = Self::ups(&mut root, config)?;
        let unet = Unet {
            sig_embed,
            cond_embed,
            conv_in,
            downs,
            mid,
            ups,
            out_norm: GroupNorm::new(
                &mut root.sub("out_layer.0"),
                config.norm_groups,
                width,
                1e-6,
            )?,
            out_conv: Conv2d::new(&mut root.sub("out_layer.2"), width, channels, three)?,
            compute: kind,
            checkpoints: false,
            config: config.clone(),
            parameters,
        };
        if config.zero_init { unet.with_zeros() } else { Ok(unet) }
    }

    /// The levels on the way down, and the channels at their end.
    fn downs(
        root: &mut Scope<'_>,
        config: &UnetConfig,
    ) -> tweedie_torch::Result<(Vec<Level>, i64)> {
        let (mut width, mut resolution) = (config.ch, config.image_size);
        let mut levels = vec![];
        let widths = config.widths();
        for (i, &outputs) in widths.iter().enumerate() {
            let mut p = root.sub(format_args!("downs.{i}"));
            let mut blocks = vec![];
            for j in 0..config.num_res_blocks {
                let mut p = p.sub(format_args!("blocks.{j}"));
                blocks.push(Block::new(&mut p, width, outputs, resolution, config)?);
                width = outputs;
            }
            let way = match i + 1 < widths.len() {
                true => Some(way(&mut p, width, Change::Down, config)?),
                false => None,
            };
            resolution /= if way.is_some() { 2 } else { 1 };
            levels.push(Level { blocks, way });
        }
        Ok((levels, width))
    }

    /// The levels on the way up, and the channels at their end.
    fn ups(root: &mut Scope<'_>, config: &UnetConfig) -> tweedie_torch::Result<(Vec<Level>, i64)> {
        let widths = config.widths();
        let count = widths.len();
        let mut width = widths[count - 1];
        let mut levels = vec![];
        for (i, &outputs) in widths.iter().rev().enumerate() {
            let mut p = root.sub(format_args!("ups.{i}"));
            let resolution = config.image_size >> (count - 1 - i);
            // The last block of a level takes what the level below it on the way down ended with.
            let next = if i + 1 < count { widths[count - 2 - i] } else { config.ch };
            let mut blocks = vec![];
            for j in 0..=config.num_res_blocks {
                let skip = if j == config.num_res_blocks { next } else { outputs };
                let mut p = p.sub(format_args!("blocks.{j}"));
                blocks.push(Block::new(&mut p, width + skip, outputs, resolution, config)?);
                width = outputs;
            }
            let way = match i + 1 < count {
                true => Some(way(&mut p, width, Change::Up, config)?),
                false => None,
            };
            levels.push(Level { blocks, way });
        }
        Ok((levels, width))
    }

    /// Begins as the identity in every residual branch, and as 0 altogether.
    fn with_zeros(mut self) -> crate::Result<Self> {
        let mut last =
            vec![self.mid.0.last(), self.mid.1.last(), self.mid.2.last(), &self.out_conv];
        for level in self.downs.iter().chain(&self.ups) {
            for block in &level.blocks {
                last.push(block.resnet.last());
                last.extend(block.attention.iter().map(AttentionBlock::last));
            }
            if let Some(Way::Block(block)) = &level.way {
                last.push(block.last());
            }
        }
        let tensors: Vec<Tensor> = last
            .iter()
            .flat_map(|c| [Some(&c.weight), c.bias.as_ref()])
            .flatten()
            .map(Tensor::shallow_clone)
            .collect();
        for tensor in tensors {
            self.parameters.root().start_again(&tensor, Init::Zeros)?;
        }
        Ok(self)
    }
}

impl Network for Unet {
    fn forward(&self, x: &Tensor, noise: &Tensor, cond: Option<&Cond>) -> Result<Tensor> {
        checkpointing::answer(&self.segments(x, noise, cond, None, &[])?)
    }

    fn null_cond(&self, batch: i64) -> Option<Cond> {
        self.cond_embed.as_ref().map(|c| c.null_cond(batch))
    }

    fn takes(&self, noise: NoiseInput) -> bool {
        self.config.noise_embedding.takes(noise)
    }
}

impl Trainable for Unet {
    fn self_attention(&self) -> Option<&dyn SelfAttention> {
        Some(self)
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn spec(&self) -> ModelSpec {
        ModelSpec::Unet(self.config.clone())
    }

    fn compute_in(&mut self, kind: Kind) {
        self.compute = kind;
    }

    fn checkpoint_activations(&mut self, on: bool) {
        self.checkpoints = on;
    }

    fn compute_kind(&self) -> Kind {
        self.compute
    }

    fn forward_train(
        &self,
        x: &Tensor,
        noise: &Tensor,
        cond: Option<&Cond>,
        rng: &mut Generator,
    ) -> Result<Tensor> {
        checkpointing::answer(&self.segments(x, noise, cond, Some(rng), &[])?)
    }

    fn gradients(
        &self,
        x: &Tensor,
        noise: &Tensor,
        cond: Option<&Cond>,
        rng: &mut Generator,
        loss: &mut Loss<'_>,
    ) -> Result<Gradients> {
        let segments = self.segments(x, noise, cond, Some(rng), &[])?;
        checkpointing::gradients(&segments, self.checkpoints, &self.parameters, loss)
    }
}
