//! smalldiffusion's image networks at their Fashion-MNIST sizes: a forward pass, a training step.

use super::Settings;
use super::ideal::images;
use super::measure::{Values, reset_peak, seconds};
use anyhow::{Context, Result};
use std::time::Instant;
use tch::{Device, Kind};
use tweedie::core::{Noise, Parametrization, Scaling};
use tweedie::data::{Dataset, Loader, LoaderConfig};
use tweedie::models::{ModelSpec, Trainable, dit::DitConfig, unet::UnetConfig};
use tweedie::schedules::Schedule;
use tweedie::torch::runtime;
use tweedie::train::{Config, Objective, Trainer, Weighting};

/// A network, how it is trained, and the batch of the readings.
pub(super) struct Subject {
    spec: ModelSpec,
    parametrization: Parametrization,
    schedule: Schedule,
    lr: f64,
    batch: usize,
}

pub(super) fn dit() -> Result<Subject> {
    Ok(Subject {
        spec: ModelSpec::Dit(DitConfig::fashion_mnist()),
        parametrization: Parametrization::default(),
        schedule: Schedule::ddpm(1000, 0.0001, 0.02)?,
        lr: 1e-3,
        batch: 64,
    })
}

pub(super) fn unet() -> Result<Subject> {
    Ok(Subject {
        spec: ModelSpec::Unet(UnetConfig::fashion_mnist()),
        parametrization: Parametrization { scaling: Scaling::Scaled, ..Default::default() },
        schedule: Schedule::log_linear(800, 0.01, 20.0)?,
        lr: 7e-4,
        batch: 32,
    })
}

impl Subject {
    fn network(&self, settings: Settings) -> Result<Box<dyn Trainable>> {
        let mut network = self.spec.build(0, Kind::Float, Device::Cpu)?;
        if settings.auto {
            network.compute_in(runtime::fast_kind(Device::Cpu));
        }
        Ok(network)
    }

    /// Seconds of one forward pass.
    pub(super) fn forward(self, settings: Settings) -> Result<Values> {
        crate::run::start(Some(settings.threads))?;
        let network = self.network(settings)?;
        let batch = self.batch as i64;
        let x = Noise::torch(0)?.initial(&[batch, 1, 28, 28], Kind::Float, Device::Cpu)? * 5.0;
        let sigma = tch::Tensor::full([batch], 5.0, tch::kind::FLOAT_CPU);
        reset_peak();
        let _guard = tch::no_grad_guard();
        let times = seconds(2, settings.n(7), || network.forward(&x, &sigma, None))?;
        Ok(times.into())
    }

    /// Training steps a second, one by one.
    pub(super) fn train(self, settings: Settings) -> Result<Values> {
        crate::run::start(Some(settings.threads))?;
        const WARM: usize = 3;
        let count = settings.n(8);
        let network = self.network(settings)?;
        let images = images()?.narrow(0, 0, 4096).copy();
        let loader = LoaderConfig::new(self.batch, 0);
        let loader = Loader::new(Dataset::new(images, None)?, loader)?;
        let objective = Objective {
            parametrization: self.parametrization,
            weighting: Weighting::Uniform,
            levels: Box::new(self.schedule),
        };
        // The peers compute no norm of the gradients.
        let config = Config::new((WARM + count) as u64, self.lr);
        let config = Config { report_grad_norm: false, ..config };
        let mut trainer = Trainer::new(network, objective, loader, config)?;
        reset_peak();
        let mut values = Vec::new();
        for i in 0..WARM + count {
            let start = Instant::now();
            let report = trainer.next().context("the training ended early")??;
            std::hint::black_box(report.loss);
            if i >= WARM {
                values.push(1.0 / start.elapsed().as_secs_f64());
            }
        }
        Ok(values.into())
    }
}
