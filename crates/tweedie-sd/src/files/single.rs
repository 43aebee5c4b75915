//! A model in one file, under the names of the original code.

use super::ldm::{self, Family, Guess, SD2_V_PREDICTION};
use super::{Part, Pipeline};
use crate::clip::ClipConfig;
use crate::options::Options;
use crate::scheduler::SchedulerConfig;
use crate::text::Tokenizer;
use crate::unet::UnetConfig;
use crate::vae::VaeConfig;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use tweedie_torch::weights::Store;

/// A single file that holds a pipeline; what it is, its names and shapes tell.
#[derive(Debug)]
pub struct Single {
    path: PathBuf,
    store: Store,
    guess: Guess,
    pipeline: Pipeline,
}

impl Single {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// If it is no safetensors file, or no model that is known.
    pub fn open(path: &Path) -> Result<Self> {
        let store = Store::open(path)?;
        let guess = ldm::guess(path, &ldm::shapes(&store))?;
        let pipeline = Pipeline::parse(Options::of(path, guess.model_index())?)?;
        Ok(Single { path: path.to_path_buf(), store, guess, pipeline })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    pub fn guess(&self) -> &Guess {
        &self.guess
    }

    pub(super) fn pipeline(&self) -> Pipeline {
        self.pipeline
    }

    pub(super) fn unet_config(&self) -> Result<UnetConfig> {
        UnetConfig::parse(self.options(Part::Unet)?)
    }

    pub(super) fn vae_config(&self) -> Result<VaeConfig> {
        VaeConfig::parse(self.options(Part::Vae)?)
    }

    pub(super) fn text_config(&self, part: Part) -> Result<ClipConfig> {
        ClipConfig::parse(self.options(part)?)
    }

    /// The weights of a part, under diffusers' names.
    pub(super) fn store(&self, part: Part) -> Result<Store> {
        self.guess.split(&self.store)?.remove(&part).ok_or_else(|| self.missing(part))
    }

    /// CLIP's; SD 2 and the second encoder of SDXL fill prompts with another token.
    pub(super) fn tokenizer(&self, part: Part) -> Result<Tokenizer> {
        let tokenizer = Tokenizer::clip()?;
        let open_clip = part == Part::TextEncoder2 || self.guess.family == Family::Sd2;
        if open_clip { tokenizer.with_pad("!") } else { Ok(tokenizer) }
    }

    pub(super) fn scheduler(&self) -> Result<SchedulerConfig> {
        let telling = match self.guess.family {
            Family::Sd2 => self.store.get(SD2_V_PREDICTION)?,
            _ => None,
        };
        let looks_so = telling.as_ref().map(ldm::sd2_predicts_v).transpose()?;
        let predicts_v = self.guess.says_v || looks_so.unwrap_or(false);
        SchedulerConfig::parse(Options::of(&self.path, self.guess.scheduler_config(predicts_v))?)
    }

    fn options(&self, part: Part) -> Result<Options> {
        Options::of(&self.path, self.guess.config(part).ok_or_else(|| self.missing(part))?)
    }

    fn missing(&self, part: Part) -> Error {
        Error::model(
            &self.path,
            format!("it has no {part}: it is a part of a model, or a merge that lost one"),
        )
    }
}
