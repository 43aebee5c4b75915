//! What a training run is made of, as a TOML file says it.

mod check;
pub(crate) mod data;
mod ema;
mod explain;
mod layers;
mod optimizer;
mod sample;
pub(crate) mod shipped;
mod validation;

pub(crate) use layers::{Layer, merge};

use anyhow::{Context, Result, ensure};
use data::DataSpec;
use ema::EmaSpec;
use optimizer::OptimizerSpec;
use sample::SampleSpec;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::Path;
use tweedie::core::Parametrization;
use tweedie::models::ModelSpec;
use tweedie::schedules::{LevelSpec, ScheduleSpec};
use tweedie::train::{Precision, Retention, UncertaintyConfig, Weighting};
use validation::ValidationSpec;

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
    /// Steps between validations; 0: none.
    #[serde(default)]
    pub(crate) validate_every: u64,
    /// Whether TensorBoard's event files are written too.
    #[serde(default)]
    pub(crate) tensorboard: bool,
    /// `cpu`, `cuda` or `cuda:N`.
    #[serde(default = "cpu")]
    pub(crate) device: String,
    /// What the network computes in: `f32`, `bf16`, `f16`, or `auto`, what the device is fastest
    /// in. Weights are kept in single precision.
    #[serde(default)]
    pub(crate) dtype: Precision,
    /// Whether training keeps only what lies between a network's blocks: less memory, more time.
    #[serde(default)]
    pub(crate) checkpoint_activations: bool,
    /// Threads of libtorch; all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) threads: Option<usize>,
    /// Short for `ema.decay`; 0: not given.
    #[serde(default)]
    pub(crate) ema_decay: f64,
    /// What is learnt.
    pub(crate) data: DataSpec,
    /// The network.
    pub(crate) model: ModelSpec,
    /// The noise levels.
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
    /// Averages of the weights.
    #[serde(default)]
    pub(crate) ema: EmaSpec,
    /// What the run is judged by on its way.
    #[serde(default)]
    pub(crate) validation: ValidationSpec,
    /// Which checkpoints stay.
    #[serde(default)]
    pub(crate) checkpoints: Retention,
    /// What `tweedie sample` does unless it is told otherwise.
    #[serde(default)]
    pub(crate) sample: SampleSpec,
}

/// How noise levels are drawn and weighted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ObjectiveSpec {
    /// How much a level counts.
    pub(crate) weighting: Weighting,
    /// How levels are drawn.
    pub(crate) levels: LevelSpec,
    /// A weighting that is learnt, on top.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) learned_weighting: Option<UncertaintyConfig>,
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

    /// The noise levels that samples are made along.
    pub(crate) fn sampling_schedule(&self) -> &ScheduleSpec {
        self.sample.schedule.as_ref().unwrap_or(&self.schedule)
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
