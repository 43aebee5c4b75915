//! The settings of a U-Net, and those of well-known ones.

use crate::embed::NoiseEmbedding;
use crate::inputs::{check_probability, check_size};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The settings of a [`Unet`](super::Unet). The defaults are smalldiffusion's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnetConfig {
    /// Height and width in pixels.
    pub image_size: i64,
    /// Channels of an image.
    pub channels: i64,
    /// Channels of the network where `ch_mult` is 1.
    pub ch: i64,
    /// Channels of each resolution, in `ch`; each resolution is half the one before.
    pub ch_mult: Vec<i64>,
    /// The width of the embedding of level and class, in `ch`.
    pub embed_ch_mult: i64,
    /// Residual blocks of each resolution on the way down; on the way up there is one more.
    pub num_res_blocks: i64,
    /// Heights at which attention follows each block.
    pub attn_resolutions: Vec<i64>,
    /// Heads of attention: by their number or by their width.
    pub heads: Heads,
    /// How often a number within a block is dropped in training, in [0, 1).
    pub dropout: f64,
    /// Whether the embedding scales and shifts the second norm of a block instead of being added
    /// before it (arXiv:2105.05233, "adaptive group normalization").
    pub scale_shift_norm: bool,
    /// How resolutions change.
    pub resample: Resample,
    /// What a block's sum of both branches is multiplied by; 1/√2 keeps its variance (EDM).
    pub skip_scale: f64,
    /// Whether the last convolution of each block, of attention and of the network begins as 0.
    pub zero_init: bool,
    /// Groups of channels that are normalised together.
    pub norm_groups: i64,
    /// How the level enters.
    pub noise_embedding: NoiseEmbedding,
    /// Classes, without the null class; 0: none.
    pub num_classes: i64,
    /// How often a label is replaced by the null class in training, in [0, 1].
    pub dropout_prob: f64,
}

/// Heads of attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heads {
    /// So many, whatever the width.
    Count(i64),
    /// As many as have this width.
    Dim(i64),
}

/// How resolutions change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resample {
    /// Down by a convolution with stride 2, up by nearest neighbours and a convolution.
    #[default]
    Conv,
    /// By a residual block that averages or repeats pixels in both branches (BigGAN's, ADM's).
    Resblock,
}

impl Default for UnetConfig {
    fn default() -> Self {
        UnetConfig {
            image_size: 32,
            channels: 3,
            ch: 128,
            ch_mult: vec![1, 2, 2, 2],
            embed_ch_mult: 4,
            num_res_blocks: 2,
            attn_resolutions: vec![16],
            heads: Heads::Count(1),
            dropout: 0.1,
            scale_shift_norm: false,
            resample: Resample::Conv,
            skip_scale: 1.0,
            zero_init: false,
            norm_groups: 32,
            noise_embedding: NoiseEmbedding::SinCos,
            num_classes: 0,
            dropout_prob: 0.1,
        }
    }
}

impl UnetConfig {
    /// smalldiffusion's settings for Fashion-MNIST.
    pub fn fashion_mnist() -> Self {
        UnetConfig {
            image_size: 28,
            channels: 1,
            ch: 64,
            ch_mult: vec![1, 1, 2],
            attn_resolutions: vec![14],
            ..Default::default()
        }
    }

    /// The settings that EDM trains DDPM++ with on CIFAR-10 (Karras et al., arXiv:2206.00364,
    /// Table 7), as far as this family has them. `docs/models.md` compares the numbers of parameters.
    pub fn ddpm_plus_plus(image_size: i64, channels: i64) -> Self {
        UnetConfig {
            image_size,
            channels,
            ch: 128,
            ch_mult: vec![2, 2, 2],
            num_res_blocks: 4,
            dropout: 0.13,
            resample: Resample::Resblock,
            skip_scale: std::f64::consts::FRAC_1_SQRT_2,
            zero_init: true,
            noise_embedding: NoiseEmbedding::Timestep { scale: 1000.0 },
            ..Default::default()
        }
    }

    /// The settings that EDM trains ADM with on ImageNet at 64 pixels (the same table).
    pub fn adm(image_size: i64, channels: i64, num_classes: i64) -> Self {
        UnetConfig {
            image_size,
            channels,
            ch: 192,
            ch_mult: vec![1, 2, 3, 4],
            num_res_blocks: 3,
            attn_resolutions: vec![32, 16, 8],
            heads: Heads::Dim(64),
            scale_shift_norm: true,
            resample: Resample::Resblock,
            zero_init: true,
            noise_embedding: NoiseEmbedding::Timestep { scale: 1000.0 },
            num_classes,
            ..Default::default()
        }
    }

    /// Channels of each resolution.
    pub(super) fn widths(&self) -> Vec<i64> {
        self.ch_mult.iter().map(|m| m * self.ch).collect()
    }

    /// The number of heads for attention of so many channels.
    pub(super) fn num_heads(&self, channels: i64) -> i64 {
        match self.heads {
            Heads::Count(count) => count,
            Heads::Dim(dim) => channels / dim,
        }
    }

    /// That the network can be built: an error names the setting.
    pub fn check(&self) -> Result<()> {
        for (field, value) in [
            ("image_size", self.image_size),
            ("channels", self.channels),
            ("ch", self.ch),
            ("embed_ch_mult", self.embed_ch_mult),
            ("num_res_blocks", self.num_res_blocks),
            ("norm_groups", self.norm_groups),
        ] {
            check_size(field, value)?;
        }
        if !(1..=16).contains(&self.ch_mult.len()) {
            return Err(Error::setting("ch_mult", &self.ch_mult, "1 to 16 numbers"));
        }
        if self.num_classes != 0 {
            check_size("num_classes", self.num_classes)?;
        }
        self.check_widths()?;
        let smallest = 1 << (self.ch_mult.len() - 1);
        if self.image_size % smallest != 0 {
            let expected = format!("a multiple of {smallest}, to be halved by {:?}", self.ch_mult);
            return Err(Error::setting("image_size", self.image_size, expected));
        }
        check_probability("dropout_prob", self.dropout_prob)?;
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::setting("dropout", self.dropout, "a number in [0, 1)"));
        }
        if !(self.skip_scale.is_finite() && self.skip_scale > 0.0) {
            return Err(Error::setting("skip_scale", self.skip_scale, "a positive number"));
        }
        self.noise_embedding.check()
    }

    fn check_widths(&self) -> Result<()> {
        for &mult in &self.ch_mult {
            check_size("ch_mult", mult)?;
        }
        for width in self.widths().into_iter().chain([self.ch]) {
            check_size("ch · ch_mult", width)?;
            if width % self.norm_groups != 0 {
                let expected = format!("a divisor of all widths: {width} is one");
                return Err(Error::setting("norm_groups", self.norm_groups, expected));
            }
            let heads = match self.heads {
                Heads::Count(n) => n > 0 && width % n == 0,
                Heads::Dim(n) => n > 0 && width % n == 0,
            };
            if !heads {
                let expected = format!("a divisor of all widths: {width} is one");
                return Err(Error::setting("heads", self.heads, expected));
            }
        }
        Ok(())
    }
}
