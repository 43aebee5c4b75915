//! A pipeline as diffusers saves it: `model_index.json` and a folder for each part.

use super::weights;
use crate::clip::ClipConfig;
use crate::options::Options;
use crate::scheduler::SchedulerConfig;
use crate::unet::UnetConfig;
use crate::vae::VaeConfig;
use crate::{Error, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tweedie_torch::weights::Store;

/// What diffusers calls the weights of its own networks.
const DIFFUSERS: &str = "diffusion_pytorch_model";

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
    /// If it is no pipeline, or one that is not known.
    pub fn open(path: &Path, variant: Option<&str>) -> Result<Self> {
        let index = path.join("model_index.json");
        let mut o = Options::read(&index)?;
        let class = o.class(&CLASSES)?.unwrap_or_default();
        let has = |o: &Options, part: &str| {
            o.peek(part).and_then(|v| v.get(1)).is_some_and(|class| !class.is_null())
        };
        let xl = class.contains("XL");
        let pipeline = Pipeline {
            xl,
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
        for part in [
            "unet",
            "vae",
            "scheduler",
            "text_encoder",
            "text_encoder_2",
            "tokenizer",
            "tokenizer_2",
        ] {
            let class: Option<Value> = o.take(part)?;
            check_class(&o, part, class.as_ref())?;
        }
        o.finish()?;
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

    /// The UNet's settings and weights.
    pub fn unet(&self) -> Result<(UnetConfig, Store)> {
        let part = self.part("unet")?;
        Ok((UnetConfig::read(&part.join("config.json"))?, self.store(&part, DIFFUSERS)?))
    }

    /// The VAE's settings and weights.
    pub fn vae(&self) -> Result<(VaeConfig, Store)> {
        vae(&self.part("vae")?, self.variant.as_deref())
    }

    /// A text encoder's settings and weights: `text_encoder` or `text_encoder_2`.
    pub fn text_encoder(&self, name: &str) -> Result<(ClipConfig, Store)> {
        let part = self.part(name)?;
        Ok((ClipConfig::read(&part.join("config.json"))?, self.store(&part, "model")?))
    }

    /// A tokenizer's folder: `tokenizer` or `tokenizer_2`.
    pub fn tokenizer(&self, name: &str) -> Result<PathBuf> {
        self.part(name)
    }

    /// The scheduler's settings.
    pub fn scheduler(&self) -> Result<SchedulerConfig> {
        SchedulerConfig::read(&self.part("scheduler")?.join("scheduler_config.json"))
    }

    /// The folder of a part, which must be there.
    fn part(&self, name: &str) -> Result<PathBuf> {
        let part = self.path.join(name);
        match part.is_dir() {
            true => Ok(part),
            false => Err(Error::model(&self.path, format!("the part {name} is missing"))),
        }
    }

    fn store(&self, part: &Path, stem: &str) -> Result<Store> {
        weights(part, stem, self.variant.as_deref())
    }
}

/// The settings and weights of a VAE in a folder of its own.
pub(crate) fn vae(folder: &Path, variant: Option<&str>) -> Result<(VaeConfig, Store)> {
    let config = VaeConfig::read(&folder.join("config.json"))?;
    Ok((config, weights(folder, DIFFUSERS, variant)?))
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
