//! From a recipe to a trainer.

use crate::output::{as_usage, usage};
use crate::recipe::{Recipe, data};
use crate::run;
use anyhow::Result;
use tweedie::data::{Batch, Source, Subset};
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
    let schedule = recipe.schedule.build()?;
    let objective = Objective {
        parametrization: recipe.parametrization,
        weighting: recipe.objective.weighting,
        levels: recipe.objective.levels.build(&schedule)?,
    };
    let mut validation = None;
    let choose = |source: Box<dyn Source>| -> Result<Box<dyn Source>> {
        let (source, set_aside) = set_aside(recipe, source, &objective)?;
        validation = set_aside;
        Ok(source)
    };
    let data = &recipe.data;
    let (loader, view) = data.loader(&recipe.model, recipe.batch_size, recipe.seed, choose)?;
    // Files may be broken that nobody has opened yet: better before there is a folder of the run.
    loader.check()?;
    // Weights are of single precision whatever the network computes in.
    let mut network = recipe.model.build(recipe.seed, tch::Kind::Float, device)?;
    network.compute_in(recipe.dtype.kind(device));
    network.checkpoint_activations(recipe.checkpoint_activations);
    let trainer = Trainer::new(network, objective, loader, config(recipe)?)?;
    Ok(Built { trainer, view, validation })
}

/// The data to learn from, and what the run is judged by.
fn set_aside(
    recipe: &Recipe,
    source: Box<dyn Source>,
    objective: &Objective,
) -> Result<(Box<dyn Source>, Option<Validation>)> {
    let spec = &recipe.validation;
    if recipe.validate_every == 0 && !spec.held_out {
        return Ok((source, None));
    }
    let (count, seed, n) = (source.count(), recipe.seed, spec.samples);
    let (learnt, aside) = match !spec.held_out && n >= count {
        true => (vec![], (0..count as i64).collect()),
        false => validation::split(count, n, seed).map_err(|_| {
            usage(format!("`validation.samples` is {n}, expected less than {count}, all there are"))
        })?,
    };
    let batch = source.batch(&aside)?;
    // In the shape of the model, and with labels if it takes them.
    let shape = [vec![aside.len() as i64], recipe.model.sample_shape()].concat();
    let labels = batch.labels.filter(|_| recipe.model.num_classes().is_some());
    let batch = Batch { x: batch.x.reshape(shape.as_slice()), labels };
    let batch_size = recipe.batch_size.min(aside.len());
    let validation =
        Validation::new(batch, objective, spec.levels, seed, batch_size).map_err(as_usage)?;
    let source: Box<dyn Source> = match spec.held_out {
        true => Box::new(Subset::new(source, &learnt)?),
        false => source,
    };
    Ok((source, Some(validation)))
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
