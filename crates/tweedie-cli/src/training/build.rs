//! From a recipe to a trainer.

use crate::output::{as_usage, usage};
use crate::recipe::{Recipe, data};
use crate::run;
use anyhow::Result;
use tch::Tensor;
use tweedie::data::{Dataset, Loader, LoaderConfig};
use tweedie::torch::optim::AdamWConfig;
use tweedie::train::{Config, LearningRate, Objective, Trainer, Validation, validation};

/// Everything that a recipe describes.
pub(super) struct Built {
    pub(super) trainer: Trainer,
    pub(super) view: data::View,
    pub(super) validation: Option<Validation>,
}

/// Builds it from the beginning.
pub(super) fn build(recipe: &Recipe) -> Result<Built> {
    run::start(recipe.threads)?;
    let device = run::device(&recipe.device)?;
    let (set, view) = recipe.data.load(&recipe.model, recipe.seed)?;
    let schedule = recipe.schedule.build()?;
    let objective = Objective {
        parametrization: recipe.parametrization,
        weighting: recipe.objective.weighting,
        levels: recipe.objective.levels.build(&schedule)?,
    };
    let (set, validation) = set_aside(recipe, set, &objective)?;
    // Weights are of single precision whatever the network computes in.
    let mut network = recipe.model.build(recipe.seed, tch::Kind::Float, device)?;
    network.compute_in(recipe.dtype.kind(device));
    let loader = Loader::new(set, LoaderConfig::new(recipe.batch_size, recipe.seed))?;
    let trainer = Trainer::new(network, objective, loader, config(recipe)?)?;
    Ok(Built { trainer, view, validation })
}

/// The data to learn from, and what the run is judged by.
fn set_aside(
    recipe: &Recipe,
    set: Dataset,
    objective: &Objective,
) -> Result<(Dataset, Option<Validation>)> {
    let spec = &recipe.validation;
    if recipe.validate_every == 0 && !spec.held_out {
        return Ok((set, None));
    }
    let (count, seed) = (set.count(), recipe.seed);
    let whole = !spec.held_out && spec.samples >= count;
    let (learnt, aside) = match whole {
        true => (vec![], (0..count as i64).collect()),
        false => validation::split(count, spec.samples, seed).map_err(|_| {
            let n = spec.samples;
            usage(format!("`validation.samples` is {n}, expected less than {count}, all there are"))
        })?,
    };
    let data = set.rows(&aside);
    let batch_size = recipe.batch_size.min(aside.len());
    let validation =
        Validation::new(data, objective, spec.levels, seed, batch_size).map_err(as_usage)?;
    let set = if spec.held_out { rows(&set, &learnt)? } else { set };
    Ok((set, Some(validation)))
}

/// These rows of a set, as bytes where they are bytes.
fn rows(set: &Dataset, rows: &[i64]) -> Result<Dataset> {
    let index = Tensor::from_slice(rows);
    let labels = set.labels().map(|labels| labels.index_select(0, &index));
    Ok(Dataset::new(set.samples().index_select(0, &index), labels)?)
}

fn config(recipe: &Recipe) -> Result<Config> {
    let o = &recipe.optimizer;
    Ok(Config {
        seed: recipe.seed,
        lr: LearningRate {
            lr: recipe.lr,
            warmup_steps: o.warmup_steps,
            decay: o.decay,
            decay_start: o.decay_start,
        },
        optimizer: AdamWConfig {
            beta1: o.beta1,
            beta2: o.beta2,
            eps: o.eps,
            weight_decay: o.weight_decay,
        },
        clip_norm: (o.clip_norm > 0.0).then_some(o.clip_norm),
        accumulate: o.accumulate,
        ema: recipe.ema.config(recipe.ema_decay)?,
        learned_weighting: recipe.objective.learned_weighting,
        ..Config::new(recipe.steps, recipe.lr)
    })
}
