//! What is wanted of a pipeline.

use crate::image::Picture;
use crate::unet::Shortcuts;
use crate::{Error, Result};
use tch::Tensor;
use tweedie_core::NoiseLevel;
use tweedie_samplers::SamplerSpec;
use tweedie_schedules::GridSpec;

/// A wish for pictures. Everything but the prompt has a default.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to draw.
    pub prompt: String,
    /// What not to draw; `None` is no condition, which for SDXL's base is not an empty prompt.
    pub negative_prompt: Option<String>,
    /// Sampling steps.
    pub steps: usize,
    /// The sampler; the model's own if none.
    pub sampler: Option<SamplerSpec>,
    /// The rule for noise levels; where the model's scheduler settings place them if none.
    pub grid: Option<GridSpec>,
    /// Whether the UNet is told whole timesteps, as diffusers' DPM-Solver, UniPC and DEIS do with
    /// Karras levels, which lie between the table's. Off, it is told where the level is.
    pub whole_timesteps: bool,
    /// How the prompt guides.
    pub guidance: GuidanceOptions,
    /// What of the UNet may be left out, for speed.
    pub shortcuts: Shortcuts,
    /// What decides the noise.
    pub seed: u64,
    /// Which noise.
    pub noise: NoiseKind,
    /// Pictures.
    pub count: usize,
    /// Width in pixels; the model's own if none, or the first picture's.
    pub width: Option<i64>,
    /// Height in pixels.
    pub height: Option<i64>,
    /// Layers of the text encoder to leave out at its end.
    pub clip_skip: usize,
    /// The same for the negative prompt, if not as many: diffusers leaves out none there.
    pub negative_clip_skip: Option<usize>,
    /// Whether `(word:1.2)` in a prompt is a weight.
    pub weighting: bool,
    /// Whether a prompt may have more than 77 tokens, in chunks of 75.
    pub long_prompts: bool,
    /// A picture to begin with.
    pub init: Option<Init>,
    /// Latents to go on from: those that another model has left at some level of noise.
    pub latents: Option<Latents>,
    /// The share of the way from noise that is gone, above 0. Below 1 there are no pictures, but
    /// latents that are noisy yet, for another model to go on from.
    pub denoising_end: Option<f64>,
    /// Noise turned towards another seed's.
    pub variation: Option<Variation>,
    /// A second pass at a larger size.
    pub hires: Option<Hires>,
    /// SDXL's sizes.
    pub sizes: Sizes,
}

/// How a prompt guides.
#[derive(Clone, Debug, PartialEq)]
pub struct GuidanceOptions {
    /// `uncond + scale·(cond − uncond)`; up to 1 the prompt is followed without guidance.
    pub scale: f64,
    /// How much of the spread that guidance adds is taken back (arXiv:2305.08891).
    pub rescale: f64,
    /// Guidance at these noise ratios `sigma/alpha` only (arXiv:2404.07724).
    pub interval: Option<(f64, f64)>,
    /// The rule.
    pub rule: GuidanceRule,
}

/// A rule of guidance, see [`tweedie_core::guidance`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum GuidanceRule {
    /// Classifier-free guidance.
    #[default]
    Cfg,
    /// CFG++, whose scale is from 0 to 1.
    CfgPlusPlus,
    /// Adaptive projected guidance.
    Apg,
}

impl Default for GuidanceOptions {
    fn default() -> Self {
        GuidanceOptions { scale: 7.5, rescale: 0.0, interval: None, rule: GuidanceRule::Cfg }
    }
}

/// Where noise comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoiseKind {
    /// Keyed by seed: picture k of a batch is that of `seed + k` alone.
    #[default]
    Seeded,
    /// The stream of PyTorch's CPU generator: diffusers' picture from diffusers' seed. The pictures of
    /// a batch share it.
    Torch,
}

/// A picture to begin with.
#[derive(Clone, Debug)]
pub struct Init {
    /// The picture; it is brought to the wanted size.
    pub picture: Picture,
    /// How much of the way from noise is gone, in (0, 1]: 1 forgets all but what a mask keeps.
    pub strength: f64,
    /// White where something new is drawn, black where the picture is kept.
    pub mask: Option<Picture>,
    /// How many times larger it is drawn, from 1 to 8, where the request names no size. Above 1 it is
    /// the second pass of a hires-fix, of a picture that is there already.
    pub scale: f64,
}

/// Latents on the way from noise to a picture.
#[derive(Debug)]
pub struct Latents {
    /// `[count, channels, height, width]`: `alpha·x0 + sigma·eps`.
    pub x: Tensor,
    /// How noisy they are.
    pub level: NoiseLevel,
}

impl Clone for Latents {
    /// The tensor is shared.
    fn clone(&self) -> Self {
        Latents { x: self.x.shallow_clone(), level: self.level }
    }
}

/// Noise between that of two seeds, on the sphere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variation {
    /// The other seed.
    pub seed: u64,
    /// From 0, the first seed's noise, to 1, the other's.
    pub weight: f64,
}

/// A second pass at a larger size (hires-fix): the latent is enlarged, noised again and denoised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hires {
    /// How many times larger.
    pub scale: f64,
    /// As [`Init::strength`].
    pub strength: f64,
}

impl Hires {
    /// The `[height, width]` of its pass behind one of `size`, in whole latent pixels of `factor`.
    pub(super) fn larger(self, size: [i64; 2], factor: i64) -> [i64; 2] {
        size.map(|side| ((side / factor) as f64 * self.scale).round() as i64 * factor)
    }
}

/// What SDXL is told of a picture's history, each `(height, width)`; the picture's own size and no
/// crop if left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The size before training's resizing.
    pub original: Option<(i64, i64)>,
    /// The upper left corner of training's crop.
    pub crop: (i64, i64),
    /// The size that is wanted.
    pub target: Option<(i64, i64)>,
}

impl Default for Request {
    fn default() -> Self {
        Request {
            prompt: String::new(),
            negative_prompt: None,
            steps: 20,
            sampler: None,
            grid: None,
            whole_timesteps: false,
            guidance: GuidanceOptions::default(),
            shortcuts: Shortcuts::default(),
            seed: 0,
            noise: NoiseKind::Seeded,
            count: 1,
            width: None,
            height: None,
            clip_skip: 0,
            negative_clip_skip: None,
            weighting: false,
            long_prompts: false,
            init: None,
            latents: None,
            denoising_end: None,
            variation: None,
            hires: None,
            sizes: Sizes::default(),
        }
    }
}

/// The largest picture: a side of latents of this many pixels times eight.
const LARGEST_SIDE: i64 = 1 << 14;
const MOST_PICTURES: usize = 1 << 12;
const MOST_SCALE: f64 = 8.0;

fn share(what: &'static str, value: f64, with_zero: bool) -> Result<()> {
    match (value > 0.0 || (with_zero && value == 0.0)) && value <= 1.0 {
        true => Ok(()),
        false if with_zero => Err(Error::invalid(what, value, "a number from 0 to 1")),
        false => Err(Error::invalid(what, value, "a number above 0, up to 1")),
    }
}

impl Request {
    /// That its numbers make sense, for latents of which a pixel is `factor` pixels high and wide.
    pub(super) fn check(&self, factor: i64) -> Result<()> {
        let sides = [("the width", self.width), ("the height", self.height)];
        for (what, side) in sides.into_iter().filter_map(|(what, side)| Some((what, side?))) {
            check_side(what, side, factor)?;
        }
        if self.steps == 0 {
            return Err(Error::invalid("steps", 0, "at least 1"));
        }
        if !(1..=MOST_PICTURES).contains(&self.count) {
            return Err(Error::invalid(
                "the number of pictures",
                self.count,
                format!("1 to {MOST_PICTURES}"),
            ));
        }
        if !self.guidance.scale.is_finite() {
            return Err(Error::invalid(
                "the guidance scale",
                self.guidance.scale,
                "a finite number",
            ));
        }
        share("the guidance's rescale", self.guidance.rescale, true)?;
        if let Some(init) = &self.init {
            share("the strength", init.strength, false)?;
            if !(init.scale >= 1.0 && init.scale <= MOST_SCALE) {
                return Err(Error::invalid("the scale", init.scale, "a number from 1 to 8"));
            }
        }
        if let Some(end) = self.denoising_end {
            share("denoising_end", end, false)?;
        }
        self.check_together()?;
        if let Some(variation) = &self.variation {
            share("the variation's weight", variation.weight, true)?;
        }
        if let Some(hires) = &self.hires {
            share("the strength of the second pass", hires.strength, false)?;
            if !(hires.scale > 1.0 && hires.scale <= MOST_SCALE) {
                return Err(Error::invalid(
                    "the second pass's scale",
                    hires.scale,
                    "above 1, up to 8",
                ));
            }
        }
        Ok(())
    }

    /// That it asks for nothing that excludes something else.
    fn check_together(&self) -> Result<()> {
        let apart = |what, expected: &str| Err(Error::invalid(what, "given", expected));
        if self.latents.is_some() && self.init.is_some() {
            return apart(
                "the picture to begin with",
                "none where there are latents to go on from",
            );
        }
        if self.latents.is_some() && self.variation.is_some() {
            return apart("the variation", "none where there are latents to go on from");
        }
        if self.is_part() && self.hires.is_some() {
            return apart("the second pass", "none where denoising_end is below 1");
        }
        Ok(())
    }

    /// Whether it ends before the latents are clean.
    pub(super) fn is_part(&self) -> bool {
        self.denoising_end.is_some_and(|end| end < 1.0)
    }
}

/// That a side of a picture is one of whole latent pixels.
pub(super) fn check_side(what: &'static str, side: i64, factor: i64) -> Result<()> {
    if side > 0 && side % factor == 0 && side <= LARGEST_SIDE {
        return Ok(());
    }
    let down = (side / factor * factor).clamp(factor, LARGEST_SIDE / factor * factor);
    Err(Error::invalid(
        what,
        side,
        format!("a multiple of {factor} up to {LARGEST_SIDE}, such as {down}"),
    ))
}
