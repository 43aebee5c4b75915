//! The README example of smalldiffusion: a Swiss roll learnt and sampled by a small MLP.

use super::Settings;
use super::measure::{Values, reset_peak, seconds};
use anyhow::{Context, Result};
use std::f64::consts::PI;
use std::time::Instant;
use tch::{Device, Kind};
use tweedie::core::{Model, Noise, Parametrization};
use tweedie::data::{Loader, LoaderConfig, toy};
use tweedie::models::{ModelSpec, Trainable, mlp::TimeInputMlpConfig};
use tweedie::samplers::{Accelerated, Sampler};
use tweedie::schedules::Schedule;
use tweedie::train::{Config, Objective, Trainer, Weighting};

/// Steps a second of a whole training step, the loss read as a number.
pub(super) fn train(settings: Settings, points: usize, steps: u64) -> Result<Values> {
    crate::run::start(Some(settings.threads))?;
    let warm = (steps / 20).max(20);
    reset_peak();
    let mut values = Vec::new();
    for _ in 0..settings.n(3) {
        let mut trainer = trainer(points, warm + steps)?;
        for _ in 0..warm {
            trainer.next().context("the training ended early")??;
        }
        let start = Instant::now();
        for _ in 0..steps {
            let report = trainer.next().context("the training ended early")??;
            std::hint::black_box(report.loss);
        }
        values.push(steps as f64 / start.elapsed().as_secs_f64());
    }
    Ok(values.into())
}

/// 2,000 points from noise by 20 steps of an untrained network, all steps kept.
pub(super) fn sample(settings: Settings) -> Result<Values> {
    crate::run::start(Some(settings.threads))?;
    let model = Model::new(network()?, Parametrization::default())?;
    let schedule = schedule()?;
    reset_peak();
    let mut seed = 0;
    let times = seconds(3, settings.n(20), || {
        let grid = schedule.grid(20)?;
        seed += 1;
        let mut noise = Noise::seeded(seed);
        let x = noise.initial(&[2000, 2], Kind::Float, Device::Cpu)? * grid.start().sigma;
        let steps = Accelerated { gam: 2.0, mu: 0.0 }.steps(&model, x, &grid, noise)?;
        anyhow::Ok(steps.collect::<tweedie::core::Result<Vec<_>>>()?)
    })?;
    Ok(times.into())
}

fn trainer(points: usize, steps: u64) -> Result<Trainer> {
    let objective = Objective {
        parametrization: Parametrization::default(),
        weighting: Weighting::Uniform,
        levels: Box::new(schedule()?),
    };
    let roll = toy::swissroll(PI / 2.0, 5.0 * PI, points).dataset()?;
    let loader = Loader::new(roll, LoaderConfig::new(2048, 0))?;
    // The peers compute no norm of the gradients.
    let config = Config { report_grad_norm: false, ..Config::new(steps, 1e-3) };
    Ok(Trainer::new(network()?, objective, loader, config)?)
}

fn network() -> Result<Box<dyn Trainable>> {
    let hidden_dims = vec![16, 128, 128, 128, 128, 16];
    let spec = ModelSpec::TimeInputMlp(TimeInputMlpConfig { dim: 2, hidden_dims });
    Ok(spec.build(0, Kind::Float, Device::Cpu)?)
}

fn schedule() -> Result<Schedule> {
    Ok(Schedule::log_linear(200, 0.005, 10.0)?)
}
