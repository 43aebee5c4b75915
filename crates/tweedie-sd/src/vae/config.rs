//! The settings of a VAE, as `vae/config.json` has them.

use crate::options::Options;
use crate::{Error, Result};
use serde_json::json;
use std::path::Path;

/// The settings of a [`Vae`](super::Vae), under diffusers' names (`AutoencoderKL`).
#[derive(Clone, Debug, PartialEq)]
pub struct VaeConfig {
    /// Channels of a picture.
    pub in_channels: i64,
    /// Channels of a decoded picture.
    pub out_channels: i64,
    /// Channels at each resolution, from the finest.
    pub block_out_channels: Vec<i64>,
    /// Residual blocks at each resolution (one more in the decoder).
    pub layers_per_block: i64,
    /// Channels of a latent.
    pub latent_channels: i64,
    /// Groups of the norms.
    pub norm_num_groups: i64,
    /// Height and width of the pictures that it was trained on: the size of a tile.
    pub sample_size: i64,
    /// What latents are multiplied by, to have unit variance.
    pub scaling_factor: f64,
    /// What is taken from latents before.
    pub shift_factor: f64,
    /// Whether a 1×1 convolution follows the encoder.
    pub use_quant_conv: bool,
    /// Whether one precedes the decoder.
    pub use_post_quant_conv: bool,
    /// Whether the middle has attention.
    pub mid_block_add_attention: bool,
}

impl VaeConfig {
    /// Reads `vae/config.json`.
    ///
    /// # Errors
    /// For another class, a value outside its range, and an option that is not known.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(Options::read(path)?)
    }

    /// From settings that are read already.
    pub(crate) fn parse(mut o: Options) -> Result<Self> {
        let path = &o.path().to_path_buf();
        o.class(&["AutoencoderKL"])?;
        let block_out_channels: Vec<i64> = o.or("block_out_channels", vec![64])?;
        for (key, block) in
            [("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")]
        {
            let types: Vec<String> = o.or(key, vec![block.to_owned()])?;
            if types.len() != block_out_channels.len() || types.iter().any(|t| t != block) {
                let expected = format!("{block}, {} times", block_out_channels.len());
                return Err(o.wrong(key, &format!("{types:?}"), &expected));
            }
        }
        let config = VaeConfig {
            in_channels: o.or("in_channels", 3)?,
            out_channels: o.or("out_channels", 3)?,
            layers_per_block: o.or("layers_per_block", 1)?,
            latent_channels: o.or("latent_channels", 4)?,
            norm_num_groups: o.or("norm_num_groups", 32)?,
            sample_size: o.or("sample_size", 32)?,
            scaling_factor: o.or("scaling_factor", 0.18215)?,
            shift_factor: o.or("shift_factor", 0.0)?,
            use_quant_conv: o.or("use_quant_conv", true)?,
            use_post_quant_conv: o.or("use_post_quant_conv", true)?,
            mid_block_add_attention: o.or("mid_block_add_attention", true)?,
            block_out_channels,
        };
        o.only(&[("act_fn", json!("silu"))])?;
        // `force_upcast` keeps f16 from overflowing; this VAE computes in f32 or bf16.
        o.ignore(&["force_upcast"]);
        o.finish()?;
        config.check(path)?;
        Ok(config)
    }

    /// How many pixels high and wide a latent's pixel is.
    pub fn factor(&self) -> i64 {
        1 << (self.block_out_channels.len() - 1)
    }

    /// A tile's height and width in latents and in pixels: the size that it was trained on, whose
    /// quarter, the overlap of two tiles, is whole.
    pub(super) fn tile(&self) -> [i64; 2] {
        let latent = (self.sample_size / self.factor() / 4).max(1) * 4;
        [latent, latent * self.factor()]
    }

    fn check(&self, path: &Path) -> Result<()> {
        let numbers = [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("layers_per_block", self.layers_per_block),
            ("latent_channels", self.latent_channels),
            ("norm_num_groups", self.norm_num_groups),
            ("sample_size", self.sample_size),
        ];
        let numbers = numbers
            .into_iter()
            .chain(self.block_out_channels.iter().map(|&c| ("block_out_channels", c)));
        for (key, value) in numbers {
            if !(1..=1 << 14).contains(&value) {
                return Err(Error::model(path, format!("{key} is {value}, expected 1 to 16384")));
            }
        }
        if !(1..=8).contains(&self.block_out_channels.len()) {
            return Err(Error::model(path, "block_out_channels has no entry, or more than eight"));
        }
        if let Some(c) = self.block_out_channels.iter().find(|&c| c % self.norm_num_groups != 0) {
            let groups = self.norm_num_groups;
            return Err(Error::model(
                path,
                format!("{c} channels are no multiple of {groups} groups"),
            ));
        }
        if !(self.scaling_factor.is_finite()
            && self.scaling_factor != 0.0
            && self.shift_factor.is_finite())
        {
            let (scale, shift) = (self.scaling_factor, self.shift_factor);
            let problem = format!(
                "scaling_factor {scale} and shift_factor {shift} must be finite, and the first not 0"
            );
            return Err(Error::model(path, problem));
        }
        Ok(())
    }
}
