//! The settings of a UNet, as `unet/config.json` has them.

use crate::Result;
use crate::options::Options;
use serde_json::json;
use std::path::Path;

/// The settings of a [`Unet`](super::Unet), under diffusers' names (`UNet2DConditionModel`).
#[derive(Clone, Debug, PartialEq)]
pub struct UnetConfig {
    /// Height and width of the latents that it was trained on.
    pub sample_size: i64,
    /// Channels of its input: 4, or 9 with a mask and a masked picture.
    pub in_channels: i64,
    /// Channels of its output.
    pub out_channels: i64,
    /// Channels at each resolution, from the finest.
    pub block_out_channels: Vec<i64>,
    /// Whether the blocks on the way down attend to the prompt.
    pub down_attention: Vec<bool>,
    /// Whether those in the middle do.
    pub mid_attention: bool,
    /// Whether the blocks on the way up do, from the coarsest.
    pub up_attention: Vec<bool>,
    /// Residual blocks at each resolution (one more on the way up).
    pub layers_per_block: Vec<i64>,
    /// Transformer blocks in each attention, at each resolution.
    pub transformer_layers: Vec<i64>,
    /// Heads at each resolution: what the file calls `attention_head_dim`, by an old mistake.
    pub num_heads: Vec<i64>,
    /// Width of the prompt's tokens.
    pub cross_attention_dim: i64,
    /// Whether attention begins and ends with linear layers instead of 1×1 convolutions.
    pub use_linear_projection: bool,
    /// Groups of the norms.
    pub norm_num_groups: i64,
    /// What the norms add to the variance.
    pub norm_eps: f64,
    /// Whether the sinusoids of the time have the cosines first.
    pub flip_sin_to_cos: bool,
    /// What their frequencies' exponent is shifted by.
    pub freq_shift: f64,
    /// What SDXL is told beside the prompt.
    pub added: Option<AddedConfig>,
    /// Width of the embedding of a guidance scale, for models that have theirs built in (LCM).
    pub time_cond_proj_dim: Option<i64>,
}

/// SDXL's added condition: a pooled prompt, and numbers (sizes, crop) each as sinusoids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddedConfig {
    /// Sinusoids of each number.
    pub time_dim: i64,
    /// The width of all of it.
    pub input_dim: i64,
}

impl UnetConfig {
    /// Reads `unet/config.json`.
    ///
    /// # Errors
    /// For another class, a value outside its range, and an option that is not known.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(Options::read(path)?)
    }

    /// From settings that are read already.
    pub(crate) fn parse(mut o: Options) -> Result<Self> {
        let path = &o.path().to_path_buf();
        o.class(&["UNet2DConditionModel"])?;
        let block_out_channels: Vec<i64> =
            o.or("block_out_channels", vec![320, 640, 1280, 1280])?;
        let blocks = block_out_channels.len();
        if !(1..=8).contains(&blocks)
            || block_out_channels.iter().any(|c| !(1..=1 << 14).contains(c))
        {
            let found = format!("{block_out_channels:?}");
            return Err(o.wrong("block_out_channels", &found, &"one to eight positive numbers"));
        }
        let kinds = |o: &mut Options, key: &str, with: &str, without: &str| -> Result<Vec<bool>> {
            let types: Vec<String> = o.required(key)?;
            if types.len() != blocks {
                return Err(o.wrong(key, &format!("{types:?}"), &format!("{blocks} of them")));
            }
            let attends = |t: &String| match t.as_str() {
                t if t == with => Ok(true),
                t if t == without => Ok(false),
                _ => Err(o.wrong(key, t, &format!("{with} or {without}"))),
            };
            types.iter().map(attends).collect()
        };
        let down_attention =
            kinds(&mut o, "down_block_types", "CrossAttnDownBlock2D", "DownBlock2D")?;
        let up_attention = kinds(&mut o, "up_block_types", "CrossAttnUpBlock2D", "UpBlock2D")?;
        let mid: String = o.or("mid_block_type", "UNetMidBlock2DCrossAttn".to_owned())?;
        let mid_attention = match mid.as_str() {
            "UNetMidBlock2DCrossAttn" => true,
            _ => return Err(o.wrong("mid_block_type", &mid, &"UNetMidBlock2DCrossAttn")),
        };
        let added = match o.take::<String>("addition_embed_type")?.as_deref() {
            None => None,
            Some("text_time") => Some(AddedConfig {
                time_dim: o.required("addition_time_embed_dim")?,
                input_dim: o.required("projection_class_embeddings_input_dim")?,
            }),
            Some(other) => {
                return Err(o.wrong("addition_embed_type", &other, &"text_time or nothing"));
            }
        };
        let config = UnetConfig {
            sample_size: o.or("sample_size", 64)?,
            in_channels: o.or("in_channels", 4)?,
            out_channels: o.or("out_channels", 4)?,
            down_attention,
            mid_attention,
            up_attention,
            layers_per_block: o.each("layers_per_block", 2, blocks)?,
            transformer_layers: o.each("transformer_layers_per_block", 1, blocks)?,
            num_heads: o.each("attention_head_dim", 8, blocks)?,
            cross_attention_dim: o.or("cross_attention_dim", 1280)?,
            use_linear_projection: o.or("use_linear_projection", false)?,
            norm_num_groups: o.or("norm_num_groups", 32)?,
            norm_eps: o.or("norm_eps", 1e-5)?,
            flip_sin_to_cos: o.or("flip_sin_to_cos", true)?,
            freq_shift: o.or("freq_shift", 0.0)?,
            added,
            time_cond_proj_dim: o.take("time_cond_proj_dim")?,
            block_out_channels,
        };
        o.only(&[
            ("center_input_sample", json!(false)),
            ("only_cross_attention", json!(false)),
            ("mid_block_only_cross_attention", json!(false)),
            ("downsample_padding", json!(1)),
            ("mid_block_scale_factor", json!(1)),
            ("dropout", json!(0.0)),
            ("act_fn", json!("silu")),
            ("dual_cross_attention", json!(false)),
            ("resnet_time_scale_shift", json!("default")),
            ("resnet_skip_time_act", json!(false)),
            ("resnet_out_scale_factor", json!(1.0)),
            ("time_embedding_type", json!("positional")),
            ("conv_in_kernel", json!(3)),
            ("conv_out_kernel", json!(3)),
            ("attention_type", json!("default")),
            ("class_embeddings_concat", json!(false)),
        ])?;
        // Precision of a product that is the same here; the heads of what is not there.
        o.ignore(&["upcast_attention", "addition_embed_type_num_heads"]);
        o.finish()?;
        config.check(path)?;
        Ok(config)
    }

    /// Skip connections from the way down to the way up: the input's and one a layer or downsampling,
    /// taken by as many layers.
    pub fn skip_connections(&self) -> usize {
        self.layers_per_block.iter().map(|layers| *layers as usize + 1).sum()
    }

    /// The highest resolution with attention, counted from the input's.
    pub(super) fn finest_attention(&self) -> Option<usize> {
        let attends = |(down, up): (&bool, &bool)| *down || *up;
        self.down_attention.iter().zip(self.up_attention.iter().rev()).position(attends)
    }

    fn check(&self, path: &Path) -> Result<()> {
        let positive = [
            ("sample_size", self.sample_size),
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("cross_attention_dim", self.cross_attention_dim),
            ("norm_num_groups", self.norm_num_groups),
        ];
        for (key, value) in positive {
            if !(1..=1 << 16).contains(&value) {
                return Err(crate::Error::model(
                    path,
                    format!("{key} is {value}, expected 1 to 65536"),
                ));
            }
        }
        for (&channels, &heads) in self.block_out_channels.iter().zip(&self.num_heads) {
            if channels % heads != 0 || channels % self.norm_num_groups != 0 {
                let problem = format!(
                    "{channels} channels are not a multiple of {heads} heads and {} groups",
                    self.norm_num_groups
                );
                return Err(crate::Error::model(path, problem));
            }
        }
        Ok(())
    }
}
