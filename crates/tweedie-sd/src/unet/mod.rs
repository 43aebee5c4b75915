//! The network that denoises latents (diffusers' `UNet2DConditionModel`).

mod blocks;
mod config;
mod embedding;

pub use config::{AddedConfig, UnetConfig};

use crate::{Error, Result};
use blocks::{At, Down, Middle, Up};
use embedding::Embedding;
use tch::{Device, Kind, Tensor};
use tweedie_core::Cond;
use tweedie_torch::frozen::Conv2d;
use tweedie_torch::ops::Around;
use tweedie_torch::parameters::{Conv2dConfig, GroupNorm, Parameters, Scope};
use tweedie_torch::weights::Store;

/// A U-Net over latents that attends to a prompt (Rombach et al., arXiv:2112.10752; for SDXL
/// Podell et al., arXiv:2307.01952).
#[derive(Debug)]
pub struct Unet {
    config: UnetConfig,
    parameters: Parameters,
    layers: Layers,
}

#[derive(Debug)]
struct Layers {
    embedding: Embedding,
    conv_in: Conv2d,
    down: Vec<Down>,
    middle: Middle,
    up: Vec<Up>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Layers {
    fn new(p: &mut Scope<'_>, config: &UnetConfig) -> tweedie_torch::Result<Self> {
        let (channels, three) = (&config.block_out_channels, Conv2dConfig::default());
        let (first, blocks) = (channels[0], channels.len());
        let embedding = Embedding::new(p, config)?;
        let conv_in = Conv2d::new(&mut p.sub("conv_in"), config.in_channels, first, three)?;
        let (mut inputs, mut skips) = (first, vec![first]);
        let mut down = Vec::new();
        for (index, &outputs) in channels.iter().enumerate() {
            let mut p = p.sub("down_blocks");
            down.push(Down::new(&mut p.sub(index), At { config, index }, inputs, &mut skips)?);
            inputs = outputs;
        }
        let middle = Middle::new(&mut p.sub("mid_block"), config)?;
        let mut up = Vec::new();
        for index in (0..blocks).rev() {
            let (at, mut p) = (At { config, index }, p.sub("up_blocks"));
            up.push(Up::new(&mut p.sub(blocks - 1 - index), at, inputs, &mut skips)?);
            inputs = channels[index];
        }
        let norm_out = GroupNorm::new(
            &mut p.sub("conv_norm_out"),
            config.norm_num_groups,
            first,
            config.norm_eps,
        )?;
        let conv_out = Conv2d::new(&mut p.sub("conv_out"), first, config.out_channels, three)?;
        Ok(Layers { embedding, conv_in, down, middle, up, norm_out, conv_out })
    }
}

impl Unet {
    /// The network with the weights of `store`, which compute as `kind` on `device`.
    ///
    /// # Errors
    /// If the store has not exactly the tensors that `config` asks for.
    pub fn new(config: UnetConfig, store: Store, kind: Kind, device: Device) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        let mut parameters = Parameters::stored(store, kind, device);
        let build = |parameters: &mut Parameters| {
            let layers = Layers::new(&mut parameters.root(), &config)?;
            parameters.finish(|_| false)?;
            Ok(layers)
        };
        let layers = build(&mut parameters)
            .map_err(|source| Error::Weights { part: "unet".into(), source })?;
        Ok(Unet { config, parameters, layers })
    }

    /// Its settings.
    pub fn config(&self) -> &UnetConfig {
        &self.config
    }

    /// Its parameters: what they are and where they compute; the layers have the numbers.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// What it was trained to say of `x`, `[batch, in_channels, height, width]`, at timesteps `t`,
    /// `[batch]`. The condition's context is the prompt, `[batch, length, cross_attention_dim]`; its
    /// vector SDXL's pooled prompt and sizes; `guidance` the scale of models that have it built in.
    /// The answer has the kind of `x`.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn forward(
        &self,
        x: &Tensor,
        t: &Tensor,
        cond: &Cond,
        guidance: Option<f64>,
    ) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let context = self.check(x, cond)?;
        let kind = self.parameters.kind();
        let context = context.f_to_kind(kind)?;
        let net = &self.layers;
        let emb = net.embedding.forward(t, cond.vector.as_ref(), guidance)?;
        let mut h = net.conv_in.forward(&x.f_to_kind(kind)?)?;
        let mut skips = vec![h.shallow_clone()];
        for down in &net.down {
            h = down.forward(h, &emb, &context, &mut skips)?;
        }
        h = net.middle.forward(&h, &emb, &context)?;
        for up in &net.up {
            h = up.forward(h, &emb, &context, &mut skips)?;
        }
        let h = net.norm_out.forward_around(&h, Around { shift: None, silu: true })?;
        Ok(net.conv_out.forward(&h)?.f_to_kind(x.kind())?.f_contiguous()?)
    }

    fn check<'c>(&self, x: &Tensor, cond: &'c Cond) -> Result<&'c Tensor> {
        let (size, c) = (x.size(), &self.config);
        if size.len() != 4 || size[1] != c.in_channels {
            let expected = format!("[batch, {}, height, width]", c.in_channels);
            return Err(Error::shape("the UNet's input", expected, &size));
        }
        let missing = || Error::invalid("the condition's context", "missing", "an encoded prompt");
        let context = cond.context.as_ref().ok_or_else(missing)?;
        let found = context.size();
        if found.len() != 3 || found[0] != size[0] || found[2] != c.cross_attention_dim {
            let expected = format!("[{}, length, {}]", size[0], c.cross_attention_dim);
            return Err(Error::shape("the encoded prompt", expected, &found));
        }
        Ok(context)
    }
}
