//! That a recipe's numbers make sense, before anything is made of them.

use super::Recipe;
use crate::output::{as_usage, usage};
use anyhow::Result;
use std::fmt::Display;

impl Recipe {
    /// Names the first key whose value makes no sense.
    pub(super) fn check(&self) -> Result<()> {
        at_least_1("steps", self.steps)?;
        at_least_1("batch_size", self.batch_size as u64)?;
        within("lr", self.lr, 0.0..=1e3)?;
        self.ema.config(self.ema_decay)?;
        if let Some(threads) = self.threads {
            within("threads", threads as f64, 1.0..=1024.0)?;
        }
        let optimizer = &self.optimizer;
        within("optimizer.beta1", optimizer.beta1, 0.0..=1.0)?;
        within("optimizer.beta2", optimizer.beta2, 0.0..=1.0)?;
        within("optimizer.eps", optimizer.eps, 0.0..=1.0)?;
        within("optimizer.weight_decay", optimizer.weight_decay, 0.0..=1e3)?;
        within("optimizer.clip_norm", optimizer.clip_norm, 0.0..=f64::MAX)?;
        // A step of more batches than this is never over.
        within("optimizer.accumulate", optimizer.accumulate as f64, 1.0..=1e6)?;
        at_least_1("sample.steps", self.sample.steps as u64)?;
        within("sample.guidance_scale", self.sample.guidance_scale, f64::MIN..=f64::MAX)?;
        at_least_1("validation.samples", self.validation.samples as u64)?;
        within("validation.levels", self.validation.levels as f64, 1.0..=1000.0)?;
        if self.checkpoints.keep_best && self.validate_every == 0 {
            return Err(usage("`checkpoints.keep_best` needs validations: set `validate_every`"));
        }
        self.sample.sampler()?;
        device_name(&self.device)?;
        self.data.check()?;
        self.parts()
    }

    /// The parts that check themselves, and that they go together.
    fn parts(&self) -> Result<()> {
        self.model.check().map_err(as_usage)?;
        let schedule = self.schedule.build().map_err(|e| usage(format!("schedule.{e}")))?;
        self.parametrization.check().map_err(|e| usage(format!("parametrization: {e}")))?;
        self.objective.weighting.check().map_err(|e| usage(format!("objective.weighting: {e}")))?;
        if let Some(sampling) = &self.sample.schedule {
            sampling.build().map_err(|e| usage(format!("sample.schedule.{e}")))?;
        }
        if let Some(learned) = &self.objective.learned_weighting {
            learned.check().map_err(|e| usage(format!("objective.learned_weighting.{e}")))?;
        }
        self.objective
            .levels
            .build(&schedule)
            .map_err(|e| usage(format!("objective.levels: {e}")))?;
        let (dim, needed) = (self.model.sample_shape().iter().product::<i64>(), self.data.dim());
        if let Some(needed) = needed.filter(|&needed| needed != dim) {
            let name = self.data.name();
            return Err(usage(format!(
                "`model.dim` is {dim}, expected {needed}, the numbers of a sample of {name}"
            )));
        }
        // Of files they are known once these are read.
        let Some(classes) = self.data.classes() else { return Ok(()) };
        match (self.model.num_classes(), classes) {
            (Some(_), 0) => {
                let name = self.data.name();
                Err(usage(format!(
                    "`model.type` has classes, but {name} has none: time-input-mlp goes with it"
                )))
            }
            (Some(found), classes) if found != classes as i64 => Err(usage(format!(
                "`model.num_classes` is {found}, expected {classes}, the classes of the data"
            ))),
            _ => Ok(()),
        }
    }
}

fn device_name(name: &str) -> Result<()> {
    let index = name.strip_prefix("cuda:");
    match name == "cpu" || name == "cuda" || index.is_some_and(|i| i.parse::<u16>().is_ok()) {
        true => Ok(()),
        false => Err(usage(format!("`device` is {name:?}, expected cpu, cuda or cuda:N"))),
    }
}

fn at_least_1(key: &str, value: u64) -> Result<()> {
    expect(value >= 1, key, value, "a whole number of at least 1")
}

fn within(key: &str, value: f64, range: std::ops::RangeInclusive<f64>) -> Result<()> {
    let expected = match (*range.start(), *range.end()) {
        (f64::MIN, f64::MAX) => "a finite number".to_owned(),
        (low, f64::MAX) => format!("a finite number of at least {low}"),
        (low, high) => format!("a number from {low} to {high}"),
    };
    expect(range.contains(&value), key, value, &expected)
}

fn expect(ok: bool, key: &str, value: impl Display, expected: &str) -> Result<()> {
    if ok { Ok(()) } else { Err(usage(format!("`{key}` is {value}, expected {expected}"))) }
}
