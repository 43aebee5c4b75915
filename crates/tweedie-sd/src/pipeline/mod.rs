//! From a prompt to a picture.

mod denoiser;
mod plan;
mod preview;
mod progress;
mod prompts;
mod request;
mod start;

pub use preview::Previewer;
pub use progress::{Progress, Watch};
pub use request::{
    GuidanceOptions, GuidanceRule, Hires, Init, NoiseKind, Request, Sizes, Variation,
};

use crate::files::{Files, OpenOptions};
use crate::image::Picture;
use crate::scheduler::SchedulerConfig;
use crate::{Error, Result, Unet, Vae};
use denoiser::Prompted;
use plan::{Way, aside, guided, noise};
use progress::tell;
use prompts::{Conditions, TextEncoders};
use start::{Begun, Kept, from_noise, from_picture};
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};
use tweedie_core::Noise;
use tweedie_schedules::Schedule;

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
    schedule: Schedule,
    text: Option<TextEncoders>,
    unet: Option<Unet>,
    vae: Option<Vae>,
}

/// What a request has come to.
#[derive(Debug)]
pub struct Output {
    /// The pictures.
    pub pictures: Vec<Picture>,
    /// `[count, channels, height, width]`, as the UNet has them.
    pub latents: Tensor,
}

impl StableDiffusion {
    /// Opens a model: a folder that diffusers saved, or one safetensors file. No weights are read yet.
    ///
    /// # Errors
    /// If it is no model, or one of a kind that is not known.
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        let files = Files::open(path, &options.files)?;
        let scheduler = files.scheduler()?;
        let schedule = scheduler.schedule()?;
        Ok(StableDiffusion {
            files,
            options,
            scheduler,
            schedule,
            text: None,
            unet: None,
            vae: None,
        })
    }

    /// What it was opened from.
    pub fn files(&self) -> &Files {
        &self.files
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
        let [height, width] = self.size(request, factor)?;
        let way = Way::new(request, &self.scheduler)?;
        self.schedule = self.scheduler.timesteps(&way.sampler)?;
        tell(watch, Progress::Text)?;
        let conditions = self.conditions(request, [height, width])?;
        let mut noise = noise(request, request.seed)?;
        let channels = self.files.vae_config().latent_channels;
        let shape = [request.count as i64, channels, height / factor, width / factor];
        let sampler = way.sampler;
        let begun = self.begin(request, way, &shape, &mut noise, watch)?;
        let mut latents = self.denoise(request, sampler, begun, &conditions, noise, watch)?;
        if let Some(hires) = request.hires {
            latents = self.enlarge(request, hires, &latents, factor, watch)?;
        }
        if self.options.sequential {
            self.unet = None;
        }
        tell(watch, Progress::Decoding)?;
        let pictures = self.vae()?.decode(&latents)?;
        if self.options.sequential {
            self.vae = None;
        }
        finite(&pictures, "the decoded picture", "vae")?;
        Ok(Output { pictures: Picture::from_batch(&pictures)?, latents })
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

    /// Height and width: what is asked for, the first picture's, or the model's own.
    fn size(&mut self, request: &Request, factor: i64) -> Result<[i64; 2]> {
        let own = match &request.init {
            Some(init) => {
                let (width, height) = init.picture.size();
                let whole = |side: u32| (i64::from(side) / factor).max(1) * factor;
                [whole(height), whole(width)]
            }
            None => [self.files.unet_config().sample_size * factor; 2],
        };
        Ok([request.height.unwrap_or(own[0]), request.width.unwrap_or(own[1])])
    }

    fn conditions(&mut self, request: &Request, size: [i64; 2]) -> Result<Conditions> {
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

    fn begin(
        &mut self,
        request: &Request,
        way: Way,
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
        sampler: tweedie_samplers::SamplerSpec,
        begun: Begun,
        conditions: &Conditions,
        noise: Noise,
        watch: &mut Watch<'_>,
    ) -> Result<Tensor> {
        let Begun { x, grid, extra, kept } = begun;
        self.load_unet()?;
        let Some(unet) = &self.unet else { return Err(Error::Cancelled) };
        let built_in = unet.config().time_cond_proj_dim.is_some();
        let prompted = Prompted {
            unet,
            schedule: &self.schedule,
            prediction: self.scheduler.prediction,
            cond: &conditions.cond,
            null: &conditions.null,
            extra: extra.as_ref(),
            guidance: built_in.then_some(request.guidance.scale),
            timestep_scaling: self.scheduler.timestep_scaling,
            whole_timesteps: request.whole_timesteps,
        };
        let denoiser = guided(prompted, &request.guidance, &grid)?;
        let sampler = sampler.build();
        let mut steps = sampler.steps(denoiser.as_ref(), x.shallow_clone(), &grid, noise)?;
        let mut latents = x;
        while let Some(step) = steps.next() {
            let step = step.map_err(name_the_unet)?;
            let done = step.index + 1;
            latents = step.x;
            if let Some(kept) = &kept {
                latents = kept.back_in(&latents, step.level, done == grid.steps())?;
                steps.replace(latents.shallow_clone())?;
            }
            tell(watch, Progress::Step { done, steps: grid.steps(), x0: &step.x0 })?;
        }
        Ok(latents)
    }

    /// The second pass of a hires-fix.
    fn enlarge(
        &mut self,
        request: &Request,
        hires: Hires,
        latents: &Tensor,
        factor: i64,
        watch: &mut Watch<'_>,
    ) -> Result<Tensor> {
        let size = latents.size();
        let larger = |side: i64| (side as f64 * hires.scale).round() as i64;
        let size = [larger(size[2]), larger(size[3])];
        let latents = latents.f_upsample_bicubic2d(size, false, None, None)?;
        let way = Way::new(request, &self.scheduler)?;
        let (sampler, grid) = (way.sampler, way.last(hires.strength)?);
        let conditions = self.conditions(request, size.map(|side| side * factor))?;
        let mut noise = noise(request, request.seed)?;
        let level = grid.start();
        let fresh = aside(&mut noise, 2, &latents)?;
        let x = latents.f_mul_scalar(level.alpha)?.f_add(&fresh.f_mul_scalar(level.sigma)?)?;
        let begun = Begun { x, grid, extra: None, kept: None::<Kept> };
        self.denoise(request, sampler, begun, &conditions, noise, watch)
    }

    fn load_unet(&mut self) -> Result<()> {
        if self.unet.is_none() {
            let (config, store) = (self.files.unet_config().clone(), self.files.unet()?);
            self.unet = Some(Unet::new(config, store, self.options.kind, self.options.device)?);
        }
        Ok(())
    }

    fn vae(&mut self) -> Result<&Vae> {
        if self.vae.is_none() {
            let (config, store) = (self.files.vae_config().clone(), self.files.vae()?);
            let vae = Vae::new(config, store, self.options.kind, self.options.device)?;
            self.vae = Some(vae.tiled(self.options.tiled));
        }
        self.vae.as_ref().ok_or(Error::Cancelled)
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

/// Between two noises on the sphere (Shoemake 1985): the spread stays what it is. A sample each.
fn slerp(a: &Tensor, b: &Tensor, weight: f64) -> Result<Tensor> {
    let dims = [1, 2, 3];
    let dot = |x: &Tensor, y: &Tensor| -> Result<Tensor> {
        Ok(x.f_mul(y)?.f_sum_dim_intlist(dims.as_slice(), true, Kind::Float)?)
    };
    let norms = dot(a, a)?.f_mul(&dot(b, b)?)?.f_sqrt()?;
    let angle = dot(a, b)?.f_div(&norms)?.f_clamp(-1.0, 1.0)?.f_acos()?;
    let share =
        |w: f64| -> Result<Tensor> { Ok(angle.f_mul_scalar(w)?.f_sin()?.f_div(&angle.f_sin()?)?) };
    Ok(a.f_mul(&share(1.0 - weight)?)?.f_add(&b.f_mul(&share(weight)?)?)?)
}
