//! A pipeline's parts, each loaded when it is first needed.

use super::prompts::{Conditions, TextEncoders};
use super::{Options, Previewer, Request, StableDiffusion};
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
        self.load_unet()?;
        self.unet.as_ref().ok_or(Error::Cancelled)
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
        if !tweedie_torch::tensor::all_finite(&pictures)? {
            return Err(Error::NotFinite { what: "the decoded picture", part: "vae" });
        }
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
        if self.text.is_none() {
            let Options { kind, device, .. } = self.options;
            self.text =
                Some(TextEncoders::open(&self.files, &self.options.inversions, kind, device)?);
        }
        let Some(text) = &self.text else { return Err(Error::Cancelled) };
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

    pub(super) fn load_unet(&mut self) -> Result<()> {
        if self.unet.is_none() {
            let (config, store) = (self.files.unet_config().clone(), self.files.unet()?);
            self.unet = Some(Unet::new(config, store, self.options.kind, self.options.device)?);
        }
        Ok(())
    }

    pub(super) fn vae(&mut self) -> Result<&Vae> {
        if self.vae.is_none() {
            let (config, store) = (self.files.vae_config().clone(), self.files.vae()?);
            let vae = Vae::new(config, store, self.options.kind, self.options.device)?;
            self.vae = Some(vae.tiled(self.options.tiled));
        }
        self.vae.as_ref().ok_or(Error::Cancelled)
    }
}
