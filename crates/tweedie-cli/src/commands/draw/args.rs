//! What may be typed.

use crate::commands::sample::guidance_scale;
use crate::commands::{sampler, threads};
use crate::output::usage;
use crate::run;
use anyhow::Result;
use std::path::PathBuf;
use tch::{Device, Kind};
use tweedie::samplers::SamplerSpec;
use tweedie::schedules::GridSpec;
use tweedie::sd::files::OpenOptions;
use tweedie::sd::pipeline::{self, GuidanceOptions, NoiseKind, Options, Request};
use tweedie::sd::unet::Shortcuts;
use tweedie::torch::runtime;

/// `tweedie txt2img`
#[derive(clap::Args, Debug)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Txt2Img {
    #[command(flatten)]
    pub(super) common: Common,
    /// A second seed, to turn the noise towards
    #[arg(long, requires = "variation")]
    pub(super) variation_seed: Option<u64>,
    /// How far, from 0 (the first seed) to 1 (the second)
    #[arg(long, default_value_t = 0.0, requires = "variation_seed")]
    pub(super) variation: f64,
    /// A second pass so many times larger
    #[arg(long, value_name = "SCALE")]
    pub(super) hires: Option<f64>,
    /// How much of the way from noise the second pass goes, up to 1
    #[arg(long, default_value_t = 0.5, requires = "hires")]
    pub(super) hires_strength: f64,
    /// A second SDXL model that ends what the first begins: its refiner
    #[arg(long, value_name = "DIR|FILE", conflicts_with = "hires")]
    pub(super) refiner: Option<PathBuf>,
    /// How much of the way from noise is gone when the refiner takes over, below 1
    #[arg(long, default_value_t = 0.8, requires = "refiner")]
    pub(super) refiner_start: f64,
}

/// `tweedie img2img`
#[derive(clap::Args, Debug)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Img2Img {
    #[command(flatten)]
    pub(super) common: Common,
    /// The picture to begin with: PNG, JPEG or WebP
    #[arg(long, value_name = "FILE")]
    pub(super) init: PathBuf,
    /// How much of it is drawn anew, above 0, up to 1
    #[arg(long, default_value_t = 0.8)]
    pub(super) strength: f64,
}

/// `tweedie inpaint`
#[derive(clap::Args, Debug)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Inpaint {
    #[command(flatten)]
    pub(super) common: Common,
    /// The picture: PNG, JPEG or WebP
    #[arg(long, value_name = "FILE")]
    pub(super) init: PathBuf,
    /// White where something new is drawn, black where the picture stays
    #[arg(long, value_name = "FILE")]
    pub(super) mask: PathBuf,
    /// How much is drawn anew there, above 0, up to 1
    #[arg(long, default_value_t = 1.0)]
    pub(super) strength: f64,
}

/// `tweedie upscale`
#[derive(clap::Args, Debug)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Upscale {
    #[command(flatten)]
    pub(super) common: Common,
    /// The picture to enlarge: PNG, JPEG or WebP
    #[arg(long, value_name = "FILE")]
    pub(super) image: PathBuf,
    /// How many times larger, from 1 to 8; or else --width and --height say how large
    #[arg(long, default_value_t = 2.0, conflicts_with_all = ["width", "height"])]
    pub(super) scale: f64,
    /// How much is drawn anew at the new size, above 0, up to 1
    #[arg(long, default_value_t = 0.4)]
    pub(super) strength: f64,
}

/// What all of them take.
#[derive(clap::Args, Debug)]
pub(crate) struct Common {
    /// A folder that diffusers saved, one safetensors file, or hub:owner/name (@revision may follow)
    /// of the Hugging Face Hub (with the feature hf-hub)
    #[arg(long, value_name = "DIR|FILE")]
    pub(super) model: PathBuf,
    /// What to draw
    #[arg(long, allow_hyphen_values = true)]
    prompt: String,
    /// What not to draw
    #[arg(long, allow_hyphen_values = true)]
    negative_prompt: Option<String>,
    /// Steps of the sampler
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    steps: u32,
    /// A name that `tweedie samplers` lists [default: the model's own]
    #[arg(long, value_parser = sampler)]
    sampler: Option<SamplerSpec>,
    /// A rule for the noise levels: trailing, karras, … [default: the model's own]
    #[arg(long, value_parser = grid)]
    grid: Option<GridSpec>,
    /// uncond + scale·(cond − uncond); up to 1 is off
    #[arg(long, default_value_t = 7.5, allow_hyphen_values = true, value_parser = guidance_scale)]
    guidance_scale: f64,
    /// How much of the contrast that guidance adds is taken back, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    guidance_rescale: f64,
    /// Noise ratios sigma/alpha at which there is guidance [default: all]
    #[arg(long, value_name = "LOW,HIGH", value_parser = interval)]
    guidance_interval: Option<(f64, f64)>,
    /// The rule of guidance
    #[arg(long, value_enum, default_value_t)]
    guidance: Rule,
    #[command(flatten)]
    faster: Faster,
    /// Decides the noise; further pictures have the seeds that follow
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Which noise a seed stands for: our own, or PyTorch's (diffusers' pictures)
    #[arg(long, value_enum, default_value_t)]
    noise: NoiseArg,
    /// Width in pixels [default: the model's own, or the picture's]
    #[arg(long)]
    width: Option<i64>,
    /// Height in pixels [default: the model's own, or the picture's]
    #[arg(long)]
    height: Option<i64>,
    /// Number of pictures
    #[arg(short, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    n: u32,
    /// A LoRA file, with its weight if that is not 1; may be given again
    #[arg(long, value_name = "FILE[=WEIGHT]")]
    lora: Vec<String>,
    /// A word that was learned (textual inversion): safetensors; may be given again
    #[arg(long, value_name = "FILE")]
    embedding: Vec<PathBuf>,
    /// Another VAE: a folder with config.json
    #[arg(long, value_name = "DIR")]
    vae: Option<PathBuf>,
    /// Another tokenizer: a folder
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// Which files of a folder that has several kinds, such as fp16
    #[arg(long)]
    variant: Option<String>,
    /// Layers of the text encoder to leave out at its end
    #[arg(long, default_value_t = 0)]
    clip_skip: usize,
    /// Read (word:1.2) in prompts as weights
    #[arg(long)]
    weighting: bool,
    /// Take prompts of more than 77 tokens, in chunks
    #[arg(long)]
    long_prompts: bool,
    /// Load the parts one after the other and free each when it is done: less memory
    #[arg(long)]
    sequential: bool,
    /// Decode large pictures in tiles: less memory
    #[arg(long)]
    tiled: bool,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// What the networks compute in; auto is what the device is fastest at
    #[arg(long, value_enum, default_value_t)]
    dtype: Dtype,
    /// Threads of libtorch [default: all]
    #[arg(long, value_parser = threads)]
    pub(super) threads: Option<usize>,
    /// A picture that shows the way while it is gone: .png
    #[arg(long, value_name = "FILE")]
    pub(super) preview: Option<PathBuf>,
    /// Where it goes: .png; several become NAME-0.png, NAME-1.png, …
    #[arg(short, default_value = "out.png")]
    pub(super) output: PathBuf,
    /// Replace what is there
    #[arg(long)]
    pub(super) force: bool,
    /// A last line with what was written where, and seconds by phase
    #[arg(long)]
    pub(super) json: bool,
}

/// What makes a picture faster and a little different.
#[derive(clap::Args, Clone, Copy, Debug)]
struct Faster {
    /// Compute the whole UNet at one call in so many only (DeepCache); 1 is off
    #[arg(long, value_name = "N", default_value_t = Shortcuts::default().cache_interval)]
    cache_interval: usize,
    /// Skip connections that are computed at the calls between
    #[arg(long, value_name = "N", default_value_t = Shortcuts::default().cache_depth)]
    cache_depth: usize,
    /// The share of tokens that self-attention merges (ToMe), 0 (off) to 0.75
    #[arg(long, value_name = "RATIO", default_value_t = Shortcuts::default().merge_ratio)]
    merge_tokens: f64,
}

impl From<Faster> for Shortcuts {
    fn from(faster: Faster) -> Self {
        let Faster { cache_interval, cache_depth, merge_tokens } = faster;
        Shortcuts { cache_interval, cache_depth, merge_ratio: merge_tokens }
    }
}

/// Rules of guidance.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum Rule {
    /// Classifier-free guidance
    #[default]
    Cfg,
    /// CFG++, whose scale is from 0 to 1
    Cfgpp,
    /// Adaptive projected guidance
    Apg,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum NoiseArg {
    #[default]
    Seeded,
    Torch,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum Dtype {
    #[default]
    F32,
    Bf16,
    F16,
    Auto,
}

fn grid(name: &str) -> Result<GridSpec, String> {
    GridSpec::by_name(name).map_err(|e| e.to_string())
}

pub(crate) fn interval(text: &str) -> Result<(f64, f64), String> {
    let pair = text
        .split_once(',')
        .and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
    pair.filter(|(low, high): &(f64, f64)| 0.0 <= *low && low < high)
        .ok_or_else(|| "expected two numbers LOW,HIGH, such as 0.3,5".to_owned())
}

/// `FILE` or `FILE=WEIGHT`.
fn lora(text: &str) -> Result<(PathBuf, f64)> {
    match text.rsplit_once('=') {
        None => Ok((text.into(), 1.0)),
        Some((file, weight)) => match weight.parse::<f64>() {
            Ok(weight) if weight.is_finite() => Ok((file.into(), weight)),
            _ => Err(usage(format!("--lora {text}: the weight is {weight:?}, expected a number"))),
        },
    }
}

impl Common {
    /// The request, without what one command alone has.
    pub(super) fn request(&self) -> Request {
        Request {
            prompt: self.prompt.clone(),
            negative_prompt: self.negative_prompt.clone(),
            steps: self.steps as usize,
            sampler: self.sampler,
            grid: self.grid,
            guidance: GuidanceOptions {
                scale: self.guidance_scale,
                rescale: self.guidance_rescale,
                interval: self.guidance_interval,
                rule: match self.guidance {
                    Rule::Cfg => pipeline::GuidanceRule::Cfg,
                    Rule::Cfgpp => pipeline::GuidanceRule::CfgPlusPlus,
                    Rule::Apg => pipeline::GuidanceRule::Apg,
                },
            },
            shortcuts: self.faster.into(),
            seed: self.seed,
            noise: match self.noise {
                NoiseArg::Seeded => NoiseKind::Seeded,
                NoiseArg::Torch => NoiseKind::Torch,
            },
            count: self.n as usize,
            width: self.width,
            height: self.height,
            clip_skip: self.clip_skip,
            weighting: self.weighting,
            long_prompts: self.long_prompts,
            ..Request::default()
        }
    }

    /// How the model is held.
    pub(super) fn options(&self) -> Result<Options> {
        let device = run::device(&self.device)?;
        Ok(Options {
            device,
            kind: self.dtype.kind(device),
            files: OpenOptions {
                variant: self.variant.clone(),
                vae: self.vae.clone(),
                tokenizer: self.tokenizer.clone(),
                loras: self.lora.iter().map(|text| lora(text)).collect::<Result<_>>()?,
                live_loras: false,
            },
            inversions: self.embedding.clone(),
            sequential: self.sequential,
            tiled: self.tiled,
        })
    }
}

impl Dtype {
    fn kind(self, device: Device) -> Kind {
        match self {
            Dtype::F32 => Kind::Float,
            Dtype::Bf16 => Kind::BFloat16,
            Dtype::F16 => Kind::Half,
            Dtype::Auto => runtime::fast_kind(device),
        }
    }
}
