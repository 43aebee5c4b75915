//! A pipeline as diffusers saves it: `model_index.json` and a folder for each part.

use super::{Part, parts};
use crate::clip::ClipConfig;
use crate::options::Options;
use crate::scheduler::SchedulerConfig;
use crate::text::Tokenizer;
use crate::unet::UnetConfig;
use crate::vae::VaeConfig;
use crate::{Error, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tweedie_torch::weights::Store;

/// A folder that holds a pipeline.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    variant: Option<String>,
    pipeline: Pipeline,
}

/// What `model_index.json` says of a pipeline as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Whether it is one of SDXL's, with sizes as a condition.
    pub xl: bool,
    /// Whether it is SDXL's refiner, which has the second text encoder alone.
    pub refiner: bool,
    /// Whether it is one of latent consistency models.
    pub consistent: bool,
    /// Whether no negative prompt means zeros, not an empty prompt (SDXL base).
    pub zeros_for_no_prompt: bool,
    /// Whether an aesthetic score takes the place of the target size (SDXL's refiner).
    pub aesthetics_score: bool,
}

const CLASSES: [&str; 9] = [
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",
    "StableDiffusionInpaintPipelineLegacy",
    "StableDiffusionXLPipeline",
    "StableDiffusionXLImg2ImgPipeline",
    "StableDiffusionXLInpaintPipeline",
    "LatentConsistencyModelPipeline",
    "LatentConsistencyModelImg2ImgPipeline",
];

impl Folder {
    /// Reads what a folder says of itself; no weights yet. `variant` is `fp16` and the like.
    ///
    /// # Errors
    /// If it is no pipeline, one that is not known, or has no weights of that variant.
    pub fn open(path: &Path, variant: Option<&str>) -> Result<Self> {
        let index = path.join("model_index.json");
        if !index.exists() {
            let problem = "model_index.json is missing: it is no folder that diffusers saved";
            return Err(Error::model(path, problem));
        }
        let pipeline = Pipeline::parse(Options::read(&index)?)?;
        if let Some(variant) = variant {
            let there = Part::ALL.into_iter().filter(|part| path.join(part.folder()).is_dir());
            let list = |part: Part| Ok((part, parts::list(&path.join(part.folder()))?));
            parts::check_variant(path, variant, &there.map(list).collect::<Result<Vec<_>>>()?)?;
        }
        Ok(Folder { path: path.to_path_buf(), variant: variant.map(str::to_owned), pipeline })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says of itself.
    pub fn pipeline(&self) -> Pipeline {
        self.pipeline
    }

    /// The UNet's settings.
    ///
    /// # Errors
    /// If they cannot be read, or are not known.
    pub fn unet_config(&self) -> Result<UnetConfig> {
        UnetConfig::read(&self.config(Part::Unet)?)
    }

    /// The VAE's settings.
    ///
    /// # Errors
    /// As [`unet_config`](Self::unet_config).
    pub fn vae_config(&self) -> Result<VaeConfig> {
        VaeConfig::read(&self.config(Part::Vae)?)
    }

    /// A text encoder's settings.
    ///
    /// # Errors
    /// As [`unet_config`](Self::unet_config).
    pub fn text_config(&self, part: Part) -> Result<ClipConfig> {
        ClipConfig::read(&self.config(part)?)
    }

    /// The weights of a part.
    ///
    /// # Errors
    /// If they are missing or broken.
    pub fn store(&self, part: Part) -> Result<Store> {
        parts::weights(&self.part(part.folder())?, part, self.variant.as_deref())
    }

    /// The tokenizer of a text encoder.
    ///
    /// # Errors
    /// If its files are missing or broken.
    pub fn tokenizer(&self, part: Part) -> Result<Tokenizer> {
        let name = if part == Part::TextEncoder2 { "tokenizer_2" } else { "tokenizer" };
        Tokenizer::open(&self.part(name)?)
    }

    /// The scheduler's settings.
    ///
    /// # Errors
    /// As [`unet_config`](Self::unet_config).
    pub fn scheduler(&self) -> Result<SchedulerConfig> {
        SchedulerConfig::read(&self.part("scheduler")?.join("scheduler_config.json"))
    }

    fn config(&self, part: Part) -> Result<PathBuf> {
        Ok(self.part(part.folder())?.join("config.json"))
    }

    /// The folder of a part, which must be there.
    fn part(&self, name: &str) -> Result<PathBuf> {
        let part = self.path.join(name);
        match part.is_dir() {
            true => Ok(part),
            false => Err(Error::model(&self.path, format!("the part {name} is missing"))),
        }
    }
}

impl Pipeline {
    /// Its text encoders: one, or SDXL's two.
    pub fn text_parts(self) -> &'static [Part] {
        const BOTH: [Part; 2] = [Part::TextEncoder, Part::TextEncoder2];
        match self {
            Pipeline { xl: false, .. } => &BOTH[..1],
            Pipeline { refiner: true, .. } => &BOTH[1..],
            _ => &BOTH,
        }
    }

    /// From `model_index.json`.
    pub(super) fn parse(mut o: Options) -> Result<Self> {
        let class = o.class(&CLASSES)?.unwrap_or_default();
        let has = |o: &Options, part: &str| {
            o.peek(part).and_then(|v| v.get(1)).is_some_and(|class| !class.is_null())
        };
        let xl = class.contains("XL");
        let pipeline = Pipeline {
            xl,
            consistent: class.starts_with("LatentConsistencyModel"),
            refiner: xl && !has(&o, "text_encoder"),
            zeros_for_no_prompt: o.or("force_zeros_for_empty_prompt", xl)?,
            aesthetics_score: o.or("requires_aesthetics_score", false)?,
        };
        // Parts that change nothing about what is drawn; the filter for unsafe pictures is not built.
        o.ignore(&[
            "safety_checker",
            "feature_extractor",
            "requires_safety_checker",
            "add_watermarker",
        ]);
        o.only(&[("image_encoder", json!([null, null]))])?;
        let parts = [
            "unet",
            "vae",
            "scheduler",
            "text_encoder",
            "text_encoder_2",
            "tokenizer",
            "tokenizer_2",
        ];
        for part in parts {
            let class: Option<Value> = o.take(part)?;
            check_class(&o, part, class.as_ref())?;
        }
        o.finish()?;
        Ok(pipeline)
    }
}

/// That a part is of a class that is built; its own settings say more.
fn check_class(o: &Options, part: &str, class: Option<&Value>) -> Result<()> {
    let Some(class) = class.and_then(|c| c.get(1)).and_then(Value::as_str) else { return Ok(()) };
    let known: &[&str] = match part {
        "unet" => &["UNet2DConditionModel"],
        "vae" => &["AutoencoderKL"],
        "text_encoder" | "text_encoder_2" => &["CLIPTextModel", "CLIPTextModelWithProjection"],
        "tokenizer" | "tokenizer_2" => &["CLIPTokenizer", "CLIPTokenizerFast"],
        _ => return Ok(()),
    };
    match known.contains(&class) {
        true => Ok(()),
        false => Err(o.wrong(part, &class, &format!("one of {}", known.join(", ")))),
    }
}
