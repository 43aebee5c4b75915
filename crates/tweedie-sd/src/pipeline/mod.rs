//! From a prompt to a picture.

mod denoiser;
mod ensemble;
mod hires;
mod parts;
mod plan;
mod preview;
mod progress;
mod prompts;
mod request;
mod start;

pub use preview::Previewer;
pub use progress::{Progress, Watch};
pub use prompts::Conditions;
pub use request::{
    GuidanceOptions, GuidanceRule, Hires, Init, Latents, NoiseKind, Request, Sizes, Variation,
};

use crate::files::{Files, OpenOptions};
use crate::image::Picture;
use crate::scheduler::SchedulerConfig;
use crate::{Error, Result, Unet, Vae};
use denoiser::{Prompted, Remembered};
use parts::{load_unet, loaded};
use plan::{Way, guided, noise, until};
use progress::tell;
use prompts::TextEncoders;
use start::{Begun, from_latents, from_noise, from_picture};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};
use tweedie_core::{Noise, NoiseLevel};
use tweedie_samplers::SamplerSpec;
use tweedie_samplers::interpolation::slerp;

/// How a model is held.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it computes.
    pub device: Device,
    /// What it computes in. Weights that the files have so are used from the map.
    pub kind: Kind,
    /// Which of several files, and what is laid over them.
    pub files: OpenOptions,
    /// Learned words: safetensors of textual inversion.
    pub inversions: Vec<PathBuf>,
    /// Whether each part is freed as soon as it has done its work: less memory, loading again for the
    /// next request.
    pub sequential: bool,
    /// Whether large pictures are encoded and decoded in tiles.
    pub tiled: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            device: Device::Cpu,
            kind: Kind::Float,
            files: OpenOptions::default(),
            inversions: vec![],
            sequential: false,
            tiled: false,
        }
    }
}

/// Stable Diffusion, of any of its versions: what [`Files`] says decides what is built. Parts are
/// loaded when they are first needed.
#[derive(Debug)]
pub struct StableDiffusion {
    files: Files,
    options: Options,
    scheduler: SchedulerConfig,
    text: Option<TextEncoders>,
    unet: Option<Unet>,
    vae: Option<Vae>,
}

/// What a request has come to.
#[derive(Debug)]
pub struct Output {
    /// The pictures; none if the request ends before the latents are clean.
    pub pictures: Vec<Picture>,
    /// `[count, channels, height, width]`, as the UNet has them: `alpha·x0 + sigma·eps`.
    pub latents: Tensor,
    /// How noisy the latents are.
    pub level: NoiseLevel,
}

impl StableDiffusion {
    /// Opens a model: a folder that diffusers saved, or one safetensors file. No weights are read yet.
    ///
    /// # Errors
    /// If it is no model, or one of a kind that is not known.
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        let files = Files::open(path, &options.files)?;
        let scheduler = files.scheduler()?;
        Ok(StableDiffusion { files, options, scheduler, text: None, unet: None, vae: None })
    }

    /// Opens a model of the Hugging Face Hub, `owner/name` at a revision (`main` if none): what is needed
    /// of it is fetched first, if it is not in the cache. See [`Hub`](crate::files::hub::Hub).
    ///
    /// # Errors
    /// If it cannot be had, and as [`open`](Self::open).
    #[cfg(feature = "hf-hub")]
    pub fn from_hub(repo: &str, revision: Option<&str>, options: Options) -> Result<Self> {
        let hub = crate::files::hub::Hub::from_env();
        Self::open(&hub.fetch(repo, revision, &options.files, &mut |_| {})?, options)
    }

    /// What it was opened from.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Changes the scales of live LoRA files: see [`Files::set_lora_scales`].
    ///
    /// # Errors
    /// As there.
    pub fn set_lora_scales(&mut self, scales: &[f64]) -> Result<()> {
        self.files.set_lora_scales(scales)
    }

    /// The settings of its scheduler, which may be changed.
    pub fn scheduler_mut(&mut self) -> &mut SchedulerConfig {
        &mut self.scheduler
    }

    /// The settings of its scheduler.
    pub fn scheduler(&self) -> &SchedulerConfig {
        &self.scheduler
    }

    /// The pictures that a request asks for; `watch` is told how far it is.
    ///
    /// # Errors
    /// For a request that makes no sense, files that don't fit together, or if `watch` ends it.
    pub fn generate(&mut self, request: &Request, watch: &mut Watch<'_>) -> Result<Output> {
        let _guard = tch::no_grad_guard();
        let factor = self.files.vae_config().factor();
        request.check(factor)?;
        request.shortcuts.check(self.files.unet_config())?;
        let [height, width] = self.size(request, factor)?;
        let way = self.way(request)?;
        way.check(request)?;
        tell(watch, Progress::Text)?;
        let conditions = self.encode(request, [height, width])?;
        let mut noise = noise(request, request.seed)?;
        let channels = self.files.vae_config().latent_channels;
        let shape = [request.count as i64, channels, height / factor, width / factor];
        let mut begun = self.begin(request, &way, &shape, &mut noise, watch)?;
        if let Some(share) = request.denoising_end.filter(|_| request.is_part()) {
            begun.grid = until(&begun.grid, share, &way.schedule)?;
        }
        let mut level = begun.grid.end();
        let mut latents = self.denoise(request, &way, begun, &conditions, noise, watch)?;
        if let Some(hires) = request.hires {
            (latents, level) = self.enlarge(request, &way, hires, &latents, watch)?;
        }
        if self.options.sequential {
            self.unet = None;
        }
        if request.is_part() {
            return Ok(Output { pictures: vec![], latents, level });
        }
        tell(watch, Progress::Decoding)?;
        Ok(Output { pictures: self.decode(&latents)?, latents, level })
    }

    fn way(&self, request: &Request) -> Result<Way> {
        Way::new(request, &self.scheduler, self.files.pipeline().consistent)
    }

    /// Height and width: what is asked for, the first picture's, or the model's own.
    fn size(&mut self, request: &Request, factor: i64) -> Result<[i64; 2]> {
        let own = match &request.init {
            Some(init) => {
                let (width, height) = init.picture.size();
                let larger = |side: u32| (f64::from(side) * init.scale).round() as i64;
                [height, width].map(|side| (larger(side) / factor).max(1) * factor)
            }
            None => match &request.latents {
                Some(Latents { x, .. }) if x.dim() == 4 => {
                    [x.size()[2], x.size()[3]].map(|n| n * factor)
                }
                _ => [self.files.unet_config().sample_size * factor; 2],
            },
        };
        let size = [request.height.unwrap_or(own[0]), request.width.unwrap_or(own[1])];
        let last = request.hires.map_or(size, |hires| hires.larger(size, factor));
        for (what, side) in [("the height", last[0]), ("the width", last[1])] {
            request::check_side(what, side, factor)?;
        }
        Ok(size)
    }

    fn begin(
        &mut self,
        request: &Request,
        way: &Way,
        shape: &[i64; 4],
        noise: &mut Noise,
        watch: &mut Watch<'_>,
    ) -> Result<Begun> {
        let device = self.options.device;
        let takes_mask = self.files.takes_mask();
        let has_mask = request.init.as_ref().is_some_and(|init| init.mask.is_some());
        if takes_mask && !has_mask {
            let expected = "a picture and a mask: this is a model for inpainting";
            return Err(Error::invalid("the request's mask", "missing", expected));
        }
        if let Some(latents) = &request.latents {
            return from_latents(way, latents, shape, device);
        }
        let Some(init) = &request.init else {
            let mut begun = from_noise(way, shape, device, noise)?;
            if let Some(variation) = request.variation {
                let other =
                    plan::noise(request, variation.seed)?.initial(shape, Kind::Float, device)?;
                begun.x = slerp(&begun.x, &other, variation.weight)?;
            }
            return Ok(begun);
        };
        tell(watch, Progress::Encoding)?;
        let sequential = self.options.sequential;
        let begun = from_picture(init, way, shape, self.vae()?, takes_mask, request, noise)?;
        if sequential {
            self.vae = None;
        }
        Ok(begun)
    }

    fn denoise(
        &mut self,
        request: &Request,
        way: &Way,
        begun: Begun,
        conditions: &Conditions,
        noise: Noise,
        watch: &mut Watch<'_>,
    ) -> Result<Tensor> {
        let Begun { x, grid, extra, kept } = begun;
        let unet = loaded(&mut self.unet, || load_unet(&self.files, &self.options))?;
        let consistent = matches!(way.sampler, SamplerSpec::Consistency(_));
        let built_in = unet.config().time_cond_proj_dim.is_some();
        let memory = RefCell::new(Remembered::new(request.shortcuts));
        let prompted = Prompted {
            unet,
            schedule: &way.schedule,
            prediction: self.scheduler.prediction,
            cond: &conditions.cond,
            null: &conditions.null,
            extra: extra.as_ref(),
            guidance: built_in.then_some(request.guidance.scale),
            timestep_scaling: consistent.then_some(self.scheduler.timestep_scaling),
            whole_timesteps: request.whole_timesteps,
            memory: &memory,
        };
        let denoiser = guided(prompted, &request.guidance, &grid)?;
        let sampler = way.sampler.build();
        let mut steps = sampler.steps(denoiser.as_ref(), x.shallow_clone(), &grid, noise)?;
        let mut latents = x;
        while let Some(step) = steps.next() {
            let step = step.map_err(name_the_unet)?;
            let done = step.index + 1;
            latents = step.x;
            if let Some(kept) = &kept {
                let end = done == grid.steps() && !request.is_part();
                latents = kept.back_in(&latents, step.level, end)?;
                steps.replace(latents.shallow_clone())?;
            }
            tell(watch, Progress::Step { done, steps: grid.steps(), x0: &step.x0 })?;
        }
        Ok(latents)
    }
}

/// A state that is not finite is the UNet's doing.
fn name_the_unet(error: tweedie_core::Error) -> Error {
    match error {
        tweedie_core::Error::NonFinite { .. } => {
            Error::NotFinite { what: "the latent", part: "unet" }
        }
        other => other.into(),
    }
}

/// That a part has not gone astray.
fn finite(t: &Tensor, what: &'static str, part: &'static str) -> Result<()> {
    match tweedie_torch::tensor::all_finite(t)? {
        true => Ok(()),
        false => Err(Error::NotFinite { what, part }),
    }
}
