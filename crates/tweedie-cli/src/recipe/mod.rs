//! What a training run is made of, as a TOML file says it.

mod check;
pub(crate) mod data;
mod explain;
mod layers;
pub(crate) mod shipped;

pub(crate) use layers::{Layer, merge};

use crate::output::usage;
use anyhow::{Context, Result, ensure};
use data::DataSpec;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::Path;
use tch::Kind;
use tweedie::core::Parametrization;
use tweedie::models::ModelSpec;
use tweedie::samplers::SamplerSpec;
use tweedie::schedules::{GridSpec, LevelSpec, ScheduleSpec};
use tweedie::train::{Decay, Weighting};

/// A recipe with all its layers resolved.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// Decides everything that is drawn by chance.
    #[serde(default)]
    pub(crate) seed: u64,
    /// Training steps.
    pub(crate) steps: u64,
    /// Samples of a step.
    pub(crate) batch_size: usize,
    /// Learning rate, at its highest.
    pub(crate) lr: f64,
    /// Steps between checkpoints, besides the last one; 0: only that.
    #[serde(default)]
    pub(crate) checkpoint_every: u64,
    /// Steps between pictures of samples; 0: none.
    #[serde(default)]
    pub(crate) preview_every: u64,
    /// `cpu`, `cuda` or `cuda:N`.
    #[serde(default = "cpu")]
    pub(crate) device: String,
    /// What weights are kept and trained in.
    #[serde(default)]
    pub(crate) dtype: Dtype,
    /// Threads of libtorch; all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) threads: Option<usize>,
    /// How much of the averaged weights stays at a step; 0: no averaging.
    #[serde(default)]
    pub(crate) ema_decay: f64,
    /// What is learnt.
    pub(crate) data: DataSpec,
    /// The network.
    pub(crate) model: ModelSpec,
    /// The noise levels that samples are made along.
    pub(crate) schedule: ScheduleSpec,
    /// What the network predicts, and how its input is scaled.
    #[serde(default)]
    pub(crate) parametrization: Parametrization,
    /// How noise levels are drawn and weighted.
    #[serde(default)]
    pub(crate) objective: ObjectiveSpec,
    /// Everything of the optimiser but the learning rate.
    #[serde(default)]
    pub(crate) optimizer: OptimizerSpec,
    /// What `tweedie sample` does unless it is told otherwise.
    #[serde(default)]
    pub(crate) sample: SampleSpec,
}

/// A kind of floating-point numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dtype {
    /// Single precision.
    #[default]
    F32,
}

/// How noise levels are drawn and weighted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ObjectiveSpec {
    /// How much a level counts.
    pub(crate) weighting: Weighting,
    /// How levels are drawn.
    pub(crate) levels: LevelSpec,
}

/// AdamW, and what happens to its learning rate and gradients.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OptimizerSpec {
    /// How much of the mean gradient stays at a step.
    pub(crate) beta1: f64,
    /// How much of the mean square gradient stays at a step.
    pub(crate) beta2: f64,
    /// Added to the root of the mean square gradient.
    pub(crate) eps: f64,
    /// Of the weights, in units of the learning rate.
    pub(crate) weight_decay: f64,
    /// Steps to the highest learning rate.
    pub(crate) warmup_steps: u64,
    /// `constant` or `cosine`, after the warm-up.
    pub(crate) decay: Decay,
    /// The largest norm that gradients keep; 0: any.
    pub(crate) clip_norm: f64,
    /// Batches that a step adds up.
    pub(crate) accumulate: usize,
}

impl Default for OptimizerSpec {
    /// PyTorch's.
    fn default() -> Self {
        OptimizerSpec {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            warmup_steps: 0,
            decay: Decay::Constant,
            clip_norm: 0.0,
            accumulate: 1,
        }
    }
}

/// What `tweedie sample` and previews do unless they are told otherwise.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SampleSpec {
    /// A name that `tweedie samplers` lists.
    pub(crate) sampler: String,
    /// Steps.
    pub(crate) steps: usize,
    /// A rule for the noise levels; the schedule's own if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grid: Option<GridSpec>,
    /// `uncond + scale·(cond − uncond)`, where a class is asked for; 1 is off.
    pub(crate) guidance_scale: f64,
}

impl Default for SampleSpec {
    fn default() -> Self {
        let sampler = "ddim".to_owned();
        SampleSpec { sampler, steps: 20, grid: None, guidance_scale: 1.0 }
    }
}

impl SampleSpec {
    /// The sampler with its default settings.
    pub(crate) fn sampler(&self) -> Result<SamplerSpec> {
        crate::commands::sampler(&self.sampler)
            .map_err(|why| usage(format!("`sample.sampler` is {:?}: {why}", self.sampler)))
    }
}

impl Dtype {
    /// libtorch's name for it.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Dtype::F32 => Kind::Float,
        }
    }
}

impl Recipe {
    /// The recipe that is named, or in a file, below the environment and what is typed.
    pub(crate) fn resolve(name_or_path: &str, typed: &[String]) -> Result<Self> {
        let file = match is_path(name_or_path) {
            true => Layer::toml(name_or_path, &read(Path::new(name_or_path))?)?,
            false => Layer::toml(name_or_path, shipped::by_name(name_or_path)?.text)?,
        };
        let recipe: Recipe =
            merge(&[&file, &Layer::environment(std::env::vars())?, &Layer::typed(typed)?])?;
        recipe.check()?;
        Ok(recipe)
    }

    /// The recipe of a run directory, with what is typed on top.
    pub(crate) fn of_run(run: &Path, typed: &[String]) -> Result<Self> {
        crate::run::check_exists(run)?;
        let path = run.join("recipe.toml");
        // What is wrong in a run's own file is not what was typed.
        let own = |err: anyhow::Error| anyhow::anyhow!("{err}");
        let file = Layer::toml(&path.display().to_string(), &read(&path)?).map_err(own)?;
        let typed = Layer::typed(typed)?;
        merge::<Recipe>(&[&file]).and_then(|r| r.check()).map_err(own)?;
        let recipe: Recipe = merge(&[&file, &typed])?;
        recipe.check()?;
        Ok(recipe)
    }

    /// As TOML.
    pub(crate) fn to_toml(&self) -> Result<String> {
        toml::to_string(self).context("the recipe cannot be written as TOML")
    }
}

fn cpu() -> String {
    "cpu".to_owned()
}

/// A name has neither an extension nor a folder.
fn is_path(text: &str) -> bool {
    text.contains(std::path::MAIN_SEPARATOR) || text.ends_with(".toml")
}

/// A recipe is a page of text: what is larger, or without end, is something else.
const LIMIT: u64 = 1 << 20;

fn read(path: &Path) -> Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path);
    file.and_then(|file| file.take(LIMIT + 1).read_to_string(&mut text))
        .with_context(|| format!("cannot read {}", path.display()))?;
    let shown = path.display();
    ensure!(text.len() as u64 <= LIMIT, "{shown} is no recipe: it has more than {LIMIT} bytes");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_recipes_resolve_and_survive_a_run_directory() {
        for shipped in &shipped::ALL {
            let file = Layer::toml(shipped.name, shipped.text).unwrap();
            let recipe: Recipe = merge(&[&file]).unwrap();
            recipe.check().unwrap();
            assert!(!shipped.description().is_empty());
            let written = recipe.to_toml().unwrap();
            let again: Recipe = merge(&[&Layer::toml("recipe.toml", &written).unwrap()]).unwrap();
            assert_eq!(again.to_toml().unwrap(), written);
        }
    }
}
