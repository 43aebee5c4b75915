//! The training loop, as an iterator of steps.

use crate::objective::Draw;
use crate::{Error, LearningRate, Objective, Result};
use std::time::Instant;
use tch::Tensor;
use tweedie_core::{Cond, Model};
use tweedie_data::Loader;
use tweedie_models::Trainable;
use tweedie_torch::optim::{self, AdamW, AdamWConfig};
use tweedie_torch::rng::Generator;

/// The settings of a [`Trainer`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Decides all noise, levels and dropped labels.
    pub seed: u64,
    /// After how many steps the iterator ends.
    pub steps: u64,
    /// The learning rate over the run.
    pub lr: LearningRate,
    /// Everything else of AdamW.
    pub optimizer: AdamWConfig,
    /// The largest norm of all gradients together: longer ones are scaled down to it.
    pub clip_norm: Option<f64>,
    /// Batches that are averaged into one step.
    pub accumulate: usize,
    /// How much of the moving average of the weights stays at a step; 0 keeps none.
    pub ema_decay: f64,
    /// Whether steps report the norm of the gradients even if nothing is clipped.
    pub report_grad_norm: bool,
}

impl Config {
    /// smalldiffusion's: AdamW with a constant learning rate, nothing else.
    pub fn new(steps: u64, lr: f64) -> Self {
        Config {
            seed: 0,
            steps,
            lr: LearningRate::constant(lr),
            optimizer: AdamWConfig::default(),
            clip_norm: None,
            accumulate: 1,
            ema_decay: 0.0,
            report_grad_norm: true,
        }
    }

    fn check(&self) -> Result<()> {
        self.lr.check()?;
        if self.accumulate == 0 {
            return Err(Error::invalid("accumulate", 0, "at least 1"));
        }
        if !(0.0..1.0).contains(&self.ema_decay) {
            return Err(Error::invalid("ema_decay", self.ema_decay, "a number in [0, 1)"));
        }
        match self.clip_norm {
            Some(norm) if norm.is_nan() || norm <= 0.0 => {
                Err(Error::invalid("clip_norm", norm, "a positive number"))
            }
            _ => Ok(()),
        }
    }
}

/// What a step tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// The number of steps taken, this one included.
    pub step: u64,
    /// The mean loss of its batches.
    pub loss: f64,
    /// The learning rate it was taken with.
    pub lr: f64,
    /// The norm of all gradients before clipping, if it was computed.
    pub grad_norm: Option<f64>,
    /// The number of data that it saw.
    pub samples: usize,
    /// Data a second, this step alone.
    pub samples_per_second: f64,
}

/// A training run: iterate over it.
///
/// Everything that a step draws by chance is a function of the seed and the step's number, so a
/// run that goes on from a [checkpoint](crate::checkpoint) equals one that was never stopped.
#[derive(Debug)]
pub struct Trainer {
    model: Model<Box<dyn Trainable>>,
    objective: Objective,
    loader: Loader,
    optimizer: AdamW,
    ema: Option<Vec<Tensor>>,
    config: Config,
    step: u64,
    failed: bool,
}

impl Trainer {
    /// A run from the beginning.
    ///
    /// # Errors
    /// For settings that make no sense.
    pub fn new(
        network: Box<dyn Trainable>,
        objective: Objective,
        loader: Loader,
        config: Config,
    ) -> Result<Self> {
        config.check()?;
        objective.weighting.check()?;
        let optimizer = AdamW::new(network.parameters().tensors(), config.optimizer)?;
        let ema = match config.ema_decay > 0.0 {
            true => Some(network.parameters().copies()?),
            false => None,
        };
        let model = Model::new(network, objective.parametrization)?;
        Ok(Trainer { model, objective, loader, optimizer, ema, config, step: 0, failed: false })
    }

    /// The model as it is now: a denoiser.
    pub fn model(&self) -> &Model<Box<dyn Trainable>> {
        &self.model
    }

    /// The model with averaged weights, or a copy of the model if none are kept.
    pub fn averaged(&self) -> Result<Model<Box<dyn Trainable>>> {
        let parameters = self.model.network.parameters();
        let (kind, device) = (parameters.kind(), parameters.device());
        let network = self.model.network.spec().build(0, kind, device)?;
        let weights: Vec<&Tensor> = match &self.ema {
            Some(ema) => ema.iter().collect(),
            None => parameters.tensors().collect(),
        };
        let _guard = tch::no_grad_guard();
        for (to, from) in network.parameters().tensors().zip(weights) {
            to.shallow_clone().copy_(from);
        }
        Ok(Model { network, parametrization: self.model.parametrization })
    }

    /// The number of steps taken.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn parts(&self) -> Parts<'_> {
        let Trainer { model, optimizer, ema, loader, .. } = self;
        Parts { model, optimizer, ema: ema.as_deref(), loader }
    }

    pub(crate) fn go_on(&mut self, step: u64, loader: tweedie_data::LoaderState) -> Result<()> {
        self.loader.resume(loader)?;
        self.step = step;
        Ok(())
    }

    fn take_step(&mut self) -> Result<StepReport> {
        let start = Instant::now();
        let (loss, mut gradients, samples) = self.accumulated()?;
        if !loss.is_finite() {
            return Err(Error::NonFinite { step: self.step + 1, loss });
        }
        let grad_norm = self.clip(&mut gradients)?;
        let lr = self.config.lr.at(self.step, self.config.steps);
        let parameters: Vec<&Tensor> = self.model.network.parameters().tensors().collect();
        let gradients: Vec<&Tensor> = gradients.iter().collect();
        self.optimizer.step(&parameters, &gradients, lr)?;
        if let Some(ema) = &self.ema {
            let ema: Vec<&Tensor> = ema.iter().collect();
            optim::ema_update(&ema, &parameters, self.config.ema_decay)?;
        }
        self.step += 1;
        let samples_per_second = samples as f64 / start.elapsed().as_secs_f64();
        Ok(StepReport { step: self.step, loss, lr, grad_norm, samples, samples_per_second })
    }

    /// Loss and gradients, averaged over the batches of a step, and the number of data.
    fn accumulated(&mut self) -> Result<(f64, Vec<Tensor>, usize)> {
        let parts = self.config.accumulate;
        let (mut loss, mut samples) = (0.0, 0);
        let mut sum: Option<Vec<Tensor>> = None;
        for part in 0..parts {
            let draw =
                Draw { seed: self.config.seed, index: self.step * parts as u64 + part as u64 };
            let (part_loss, gradients, n) = self.one_batch(draw)?;
            loss += part_loss / parts as f64;
            samples += n;
            sum = Some(match sum {
                None => gradients,
                Some(sum) => {
                    sum.into_iter().zip(&gradients).map(|(mut s, g)| s.g_add_(g)).collect()
                }
            });
        }
        let sum = sum.unwrap_or_default();
        if parts > 1 {
            optim::scale(&sum.iter().collect::<Vec<_>>(), 1.0 / parts as f64)?;
        }
        Ok((loss, sum, samples))
    }

    fn one_batch(&mut self, draw: Draw) -> Result<(f64, Vec<Tensor>, usize)> {
        let batch = match self.loader.next() {
            Some(batch) => batch?,
            None => {
                return Err(Error::invalid(
                    "the loader",
                    "at its end",
                    "one that goes round and round",
                ));
            }
        };
        let network = &self.model.network;
        let device = network.parameters().device();
        let example = self.objective.example(&batch.x.to_device(device), draw)?;
        let cond = batch.labels.map(|labels| Cond::labels(labels.to_device(device)));
        let mut rng = Generator::new(draw.labels_seed())?;
        let result = network.gradients(
            &example.input,
            &example.noise,
            cond.as_ref(),
            &mut rng,
            &mut |out| Ok(example.loss(out)),
        )?;
        let loss = f64::try_from(&result.loss).map_err(tweedie_torch::Error::from)?;
        Ok((loss, result.gradients, batch.x.size()[0] as usize))
    }

    fn clip(&self, gradients: &mut [Tensor]) -> Result<Option<f64>> {
        if self.config.clip_norm.is_none() && !self.config.report_grad_norm {
            return Ok(None);
        }
        let gradients: Vec<&Tensor> = gradients.iter().collect();
        let norm = optim::norm(&gradients)?;
        match self.config.clip_norm {
            Some(limit) if norm > limit => optim::scale(&gradients, limit / norm)?,
            _ => {}
        }
        Ok(Some(norm))
    }
}

/// What a checkpoint is made of.
pub(crate) struct Parts<'a> {
    pub(crate) model: &'a Model<Box<dyn Trainable>>,
    pub(crate) optimizer: &'a AdamW,
    pub(crate) ema: Option<&'a [Tensor]>,
    pub(crate) loader: &'a Loader,
}

impl Iterator for Trainer {
    type Item = Result<StepReport>;

    /// The next step; after the last one, or a failed one, none.
    fn next(&mut self) -> Option<Result<StepReport>> {
        if self.failed || self.step >= self.config.steps {
            return None;
        }
        let report = self.take_step();
        self.failed = report.is_err();
        Some(report)
    }
}
