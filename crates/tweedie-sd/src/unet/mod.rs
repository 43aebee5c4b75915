//! The network that denoises latents (diffusers' `UNet2DConditionModel`).

mod blocks;
mod config;
mod embedding;
mod shortcuts;

pub use config::{AddedConfig, UnetConfig};
pub use shortcuts::{Memory, Shortcuts};

use crate::{Error, Result};
use blocks::{At, Down, Middle, Told, Up};
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

    /// Down, through the middle and up again. With a `deep` feature of an earlier call only the
    /// outermost layers; without, the feature that a later call may go on from comes back too.
    fn walk(
        &self,
        mut h: Tensor,
        walk: &Walk<'_>,
        deep: Option<Tensor>,
    ) -> tweedie_torch::Result<(Tensor, Option<Tensor>)> {
        let most = walk.depth.filter(|_| deep.is_some()).unwrap_or(usize::MAX);
        let mut skips = vec![h.shallow_clone()];
        for (index, down) in self.down.iter().enumerate() {
            h = down.forward(h, walk.at(index), &mut skips, most)?;
        }
        let whole = deep.is_none();
        h = match deep {
            Some(deep) => deep,
            None => self.middle.forward(&h, walk.at(self.down.len()))?,
        };
        let mut feature = None;
        let mut watch = |left, h: &Tensor| {
            if whole && walk.depth == Some(left) {
                feature = Some(h.shallow_clone());
            }
        };
        let mut layers = self.up.iter().map(Up::len).sum::<usize>();
        for (up, index) in self.up.iter().zip((0..self.up.len()).rev()) {
            // Layers that have no skip yet lie before the deep feature.
            let first = layers.saturating_sub(skips.len());
            layers -= up.len();
            if first < up.len() {
                h = up.forward(h, first, walk.at(index), &mut skips, &mut watch)?;
            }
        }
        Ok((h, feature))
    }
}

/// How one call goes through the layers.
struct Walk<'a> {
    told: Told<'a>,
    /// The first resolution with attention: where tokens are merged.
    finest: Option<usize>,
    /// Skip connections outside the deep feature, where one is kept.
    depth: Option<usize>,
}

impl<'a> Walk<'a> {
    /// What the layers of the `index`-th resolution are told.
    fn at(&self, index: usize) -> Told<'a> {
        let merging = self.told.merging.filter(|_| self.finest == Some(index));
        Told { merging, ..self.told }
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
        self.forward_from(x, t, cond, guidance, &mut Memory::default())
    }

    /// The same with the [`Shortcuts`] of `memory`, which remembers earlier calls of the run.
    ///
    /// # Errors
    /// If the shapes don't fit, or a shortcut's number is out of its range.
    pub fn forward_from(
        &self,
        x: &Tensor,
        t: &Tensor,
        cond: &Cond,
        guidance: Option<f64>,
        memory: &mut Memory,
    ) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let context = self.check(x, cond)?;
        memory.shortcuts().check(&self.config)?;
        let (kind, net) = (self.parameters.kind(), &self.layers);
        let shapes = [x.size(), context.size()];
        let context = context.f_to_kind(kind)?;
        let emb = net.embedding.forward(t, cond.vector.as_ref(), guidance)?;
        let h = net.conv_in.forward(&x.f_to_kind(kind)?)?;
        let deep = memory.recall(&shapes);
        let walk = Walk {
            told: Told { emb: &emb, context: &context, merging: memory.merging() },
            finest: self.config.finest_attention(),
            depth: memory.shortcuts().depth(),
        };
        let (h, feature) = net.walk(h, &walk, deep)?;
        if let Some(feature) = feature {
            memory.keep(feature, shapes);
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
