//! Between pictures and latents (diffusers' `AutoencoderKL`).

mod config;
mod halves;
mod tiles;

pub use config::VaeConfig;

use crate::nn::ONE;
use crate::{Error, Result};
use halves::{Decoder, Encoder};
use tch::{Device, Kind, Tensor};
use tweedie_torch::frozen::Conv2d;
use tweedie_torch::parameters::{Parameters, Scope};
use tweedie_torch::weights::Store;

/// An autoencoder with a latent that is normally distributed (Rombach et al., arXiv:2112.10752;
/// Kingma & Welling, arXiv:1312.6114).
///
/// Latents here are the scaled ones that the UNet sees: `(z − shift_factor)·scaling_factor`.
#[derive(Debug)]
pub struct Vae {
    config: VaeConfig,
    parameters: Parameters,
    layers: Layers,
    tiled: bool,
}

#[derive(Debug)]
struct Layers {
    encoder: Encoder,
    quant: Option<Conv2d>,
    post_quant: Option<Conv2d>,
    decoder: Decoder,
}

impl Layers {
    fn new(p: &mut Scope<'_>, config: &VaeConfig) -> tweedie_torch::Result<Self> {
        let latent = config.latent_channels;
        let encoder = Encoder::new(&mut p.sub("encoder"), config)?;
        let mut one = |wanted: bool, name, channels| match wanted {
            true => Conv2d::new(&mut p.sub(name), channels, channels, ONE).map(Some),
            false => Ok(None),
        };
        let quant = one(config.use_quant_conv, "quant_conv", 2 * latent)?;
        let post_quant = one(config.use_post_quant_conv, "post_quant_conv", latent)?;
        let decoder = Decoder::new(&mut p.sub("decoder"), config)?;
        Ok(Layers { encoder, quant, post_quant, decoder })
    }
}

impl Vae {
    /// The network with the weights of `store`, which compute as `kind` on `device`.
    ///
    /// # Errors
    /// If the store has not exactly the tensors that `config` asks for.
    pub fn new(config: VaeConfig, store: Store, kind: Kind, device: Device) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        let build = |parameters: &mut Parameters| {
            let layers = Layers::new(&mut parameters.root(), &config)?;
            parameters.finish(|_| false)?;
            Ok(layers)
        };
        let weights = |source| Error::Weights { part: "vae".into(), source };
        let store = store.renamed(|name| Some(new_name(name))).map_err(weights)?;
        let mut parameters = Parameters::stored(store, kind, device);
        let layers = build(&mut parameters).map_err(weights)?;
        Ok(Vae { config, parameters, layers, tiled: false })
    }

    /// Its settings.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Its parameters: what they are and where they compute; the layers have the numbers.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Whether large pictures are done in tiles that overlap by a quarter, as diffusers does it:
    /// memory does not grow with the picture, and the tiles' seams are blended.
    #[must_use]
    pub fn tiled(self, tiled: bool) -> Self {
        Vae { tiled, ..self }
    }

    /// Mean and standard deviation of the latent of pictures `[batch, channels, height, width]` in
    /// [−1, 1]. Height and width must be multiples of [`VaeConfig::factor`].
    ///
    /// # Errors
    /// If the shape does not fit.
    pub fn encode(&self, x: &Tensor) -> Result<Latent> {
        let _guard = tch::no_grad_guard();
        let (size, factor) = (x.size(), self.config.factor());
        let fits = |n: i64| n > 0 && n % factor == 0;
        if size.len() != 4 || size[1] != self.config.in_channels || !fits(size[2]) || !fits(size[3])
        {
            let channels = self.config.in_channels;
            let expected =
                format!("[batch, {channels}, height, width], both multiples of {factor}");
            return Err(Error::shape("the picture to encode", expected, &size));
        }
        let moments = self.each(x, |x| match self.needs_tiles(x, 1) {
            true => tiles::encode(self, x),
            false => self.encode_whole(x),
        })?;
        let channels = self.config.latent_channels;
        let mean = moments.f_narrow(1, 0, channels)?;
        let std = moments
            .f_narrow(1, channels, channels)?
            .f_clamp(-30.0, 20.0)?
            .f_mul_scalar(0.5)?
            .f_exp()?;
        let VaeConfig { scaling_factor, shift_factor, .. } = self.config;
        Ok(Latent {
            mean: mean.f_sub_scalar(shift_factor)?.f_mul_scalar(scaling_factor)?,
            std: std.f_mul_scalar(scaling_factor.abs())?,
        })
    }

    /// Pictures `[batch, channels, height, width]`, about in [−1, 1], of latents
    /// `[batch, latent_channels, …]`.
    ///
    /// # Errors
    /// If the shape does not fit.
    pub fn decode(&self, latent: &Tensor) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let size = latent.size();
        if size.len() != 4 || size[1] != self.config.latent_channels {
            let expected = format!("[batch, {}, height, width]", self.config.latent_channels);
            return Err(Error::shape("the latent", expected, &size));
        }
        let VaeConfig { scaling_factor, shift_factor, .. } = self.config;
        let z = latent.f_div_scalar(scaling_factor)?.f_add_scalar(shift_factor)?;
        self.each(&z, |z| match self.needs_tiles(z, self.config.factor()) {
            true => tiles::decode(self, z),
            false => self.decode_whole(z),
        })
    }

    /// One sample after the other: what each takes is large, and they do not gain from each other.
    fn each(&self, x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let batch = x.size()[0];
        if batch == 1 {
            return f(x);
        }
        let all = (0..batch).map(|i| f(&x.f_narrow(0, i, 1)?)).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::f_cat(&all, 0)?)
    }

    fn needs_tiles(&self, x: &Tensor, factor: i64) -> bool {
        let size = x.size();
        self.tiled && size[2].max(size[3]) * factor > self.config.tile()[1]
    }

    fn encode_whole(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.layers.encoder.forward(&x.f_to_kind(self.parameters.kind())?)?;
        let moments = through(self.layers.quant.as_ref(), h)?;
        Ok(moments.f_to_kind(x.kind())?)
    }

    fn decode_whole(&self, z: &Tensor) -> Result<Tensor> {
        let h = z.f_to_kind(self.parameters.kind())?;
        let h = through(self.layers.post_quant.as_ref(), h)?;
        Ok(self.layers.decoder.forward(&h)?.f_to_kind(z.kind())?.f_contiguous()?)
    }
}

fn through(layer: Option<&Conv2d>, h: Tensor) -> Result<Tensor> {
    match layer {
        Some(layer) => Ok(layer.forward(&h)?),
        None => Ok(h),
    }
}

/// The latent of a picture: a normal distribution, scaled as the UNet has it.
#[derive(Debug)]
pub struct Latent {
    /// `[batch, latent_channels, height / factor, width / factor]`
    pub mean: Tensor,
    /// The same shape.
    pub std: Tensor,
}

impl Latent {
    /// `mean + std·noise`, for unit noise of the same shape.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn sample(&self, noise: &Tensor) -> Result<Tensor> {
        Ok(self.std.f_mul(noise)?.f_add(&self.mean)?)
    }
}

/// The first files named the middle's attention otherwise.
fn new_name(name: &str) -> String {
    const OLD: [(&str, &str); 4] =
        [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")];
    let part = |(old, new): (&str, &str)| {
        let at = name.split_once(&format!("mid_block.attentions.0.{old}."))?;
        Some(format!("{}mid_block.attentions.0.{new}.{}", at.0, at.1))
    };
    OLD.into_iter().find_map(part).unwrap_or_else(|| name.to_owned())
}
