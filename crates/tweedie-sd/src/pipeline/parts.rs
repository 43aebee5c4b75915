//! A pipeline's parts, each loaded when it is first needed.

use super::prompts::{Conditions, TextEncoders};
use super::{Options, Previewer, Request, StableDiffusion, finite};
use crate::files::Files;
use crate::image::Picture;
use crate::{Error, Result, Unet, Vae};
use tch::Tensor;

impl StableDiffusion {
    /// What the UNet is told of a request's prompts, for a sampling loop of one's own.
    ///
    /// # Errors
    /// For a request that makes no sense, or files that don't fit together.
    pub fn prompts(&mut self, request: &Request) -> Result<Conditions> {
        let factor = self.files.vae_config().factor();
        request.check(factor)?;
        let size = self.size(request, factor)?;
        self.encode(request, size)
    }

    /// The UNet.
    ///
    /// # Errors
    /// If it cannot be loaded.
    pub fn unet(&mut self) -> Result<&Unet> {
        loaded(&mut self.unet, || load_unet(&self.files, &self.options))
    }

    /// The pictures of clean latents, `[count, channels, height, width]` as the UNet has them.
    ///
    /// # Errors
    /// If the VAE cannot be loaded, the shape does not fit, or a number is not finite.
    pub fn decode(&mut self, latents: &Tensor) -> Result<Vec<Picture>> {
        let pictures = self.vae()?.decode(latents)?;
        if self.options.sequential {
            self.vae = None;
        }
        finite(&pictures, "the decoded picture", "vae")?;
        Picture::from_batch(&pictures)
    }

    /// A quick look at latents while they are made; it takes the VAE, once.
    ///
    /// # Errors
    /// If the VAE cannot be loaded.
    pub fn previewer(&mut self) -> Result<Previewer> {
        let previewer = Previewer::new(self.vae()?)?;
        if self.options.sequential {
            self.vae = None;
        }
        Ok(previewer)
    }

    /// What its text encoders say of a request's prompts.
    pub(super) fn encode(&mut self, request: &Request, size: [i64; 2]) -> Result<Conditions> {
        let (files, options) = (&self.files, &self.options);
        let text = loaded(&mut self.text, || {
            TextEncoders::open(files, &options.inversions, options.kind, options.device)
        })?;
        let (width, wanted) = (text.width(), self.files.unet_config().cross_attention_dim);
        if width != wanted {
            let problem = format!(
                "its text encoders say tokens of {width} numbers, its UNet attends to {wanted}: they are not of one model"
            );
            return Err(Error::model(self.files.path(), problem));
        }
        let conditions = text.conditions(request, size)?;
        if self.options.sequential {
            self.text = None;
        }
        Ok(conditions)
    }

    pub(super) fn vae(&mut self) -> Result<&Vae> {
        let (files, options) = (&self.files, &self.options);
        loaded(&mut self.vae, || {
            let (config, store) = (files.vae_config().clone(), files.vae()?);
            Ok(Vae::new(config, store, options.kind, options.device)?.tiled(options.tiled))
        })
    }
}

pub(super) fn load_unet(files: &Files, options: &Options) -> Result<Unet> {
    Unet::new(files.unet_config().clone(), files.unet()?, options.kind, options.device)
}

/// What is in `slot`; loaded now if it is empty.
pub(super) fn loaded<T>(slot: &mut Option<T>, load: impl FnOnce() -> Result<T>) -> Result<&T> {
    match slot {
        Some(part) => Ok(part),
        None => Ok(slot.insert(load()?)),
    }
}
