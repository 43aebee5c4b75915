//! The training loop, as an iterator of steps.

use crate::ema::{Averages, Clock};
use crate::objective::Draw;
use crate::uncertainty::Uncertainty;
use crate::{Config, Error, LossScale, Objective, Result, Validation, ValidationReport, memory};
use std::time::Instant;
use tch::{Kind, Tensor};
use tweedie_core::{Cond, Model};
use tweedie_data::{Loader, LoaderState};
use tweedie_models::Trainable;
use tweedie_torch::optim::{self, AdamW};
use tweedie_torch::rng::Generator;

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
    /// In half precision: the scale of the loss after the step, and how many steps changed nothing.
    pub loss_scale: Option<LossScale>,
    /// The number of data that it saw.
    pub samples: usize,
    /// Data a second, this step alone.
    pub samples_per_second: f64,
}

/// A training run: iterate over it.
///
/// Everything that a step draws by chance is a function of the seed and the step's number, so a
/// run that goes on from a [checkpoint](crate::checkpoint) equals one that was never stopped.
///
/// A network that computes in half precision is trained with a [`LossScale`].
#[derive(Debug)]
pub struct Trainer {
    model: Model<Box<dyn Trainable>>,
    objective: Objective,
    loader: Loader,
    optimizer: AdamW,
    averages: Averages,
    uncertainty: Option<Uncertainty>,
    loss_scale: Option<LossScale>,
    config: Config,
    progress: Progress,
    /// Samples of the batch at hand.
    batch_size: usize,
    failed: bool,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) step: u64,
    pub(crate) samples: u64,
    /// Step and loss of the last validation.
    pub(crate) validated: Option<(u64, f64)>,
}

/// Loss, gradients and size of the batches of a step.
struct Sum {
    loss: f64,
    /// One for each of [`Trainer::trained`], times the scale of the loss.
    gradients: Vec<Tensor>,
    samples: usize,
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
        let parameters = network.parameters();
        let learned = config.learned_weighting;
        let uncertainty = learned
            .map(|learned| Uncertainty::new(learned, config.seed, parameters.device()))
            .transpose()?;
        let averages = Averages::new(&config.ema, parameters)?;
        let trained = parameters.tensors().chain(uncertainty.as_ref().map(|u| &u.weight));
        let optimizer = AdamW::new(trained, config.optimizer)?;
        let loss_scale = (network.compute_kind() == Kind::Half).then(LossScale::default);
        Ok(Trainer {
            model: Model::new(network, objective.parametrization)?,
            objective,
            loader,
            optimizer,
            averages,
            uncertainty,
            loss_scale,
            config,
            progress: Progress::default(),
            batch_size: 0,
            failed: false,
        })
    }

    /// The model as it is now: a denoiser.
    pub fn model(&self) -> &Model<Box<dyn Trainable>> {
        &self.model
    }

    /// The model with averaged weights, or a copy of the model if none are kept.
    pub fn averaged(&self) -> Result<Model<Box<dyn Trainable>>> {
        let own = &self.model.network;
        let parameters = own.parameters();
        let mut network = own.spec().build(0, parameters.kind(), parameters.device())?;
        network.compute_in(own.compute_kind());
        let weights: Vec<&Tensor> = match self.averages.main() {
            Some(average) => average.tensors.iter().collect(),
            None => parameters.tensors().collect(),
        };
        let _guard = tch::no_grad_guard();
        for (to, from) in network.parameters().tensors().zip(weights) {
            to.shallow_clone().copy_(from);
        }
        Ok(Model { network, parametrization: self.model.parametrization })
    }

    /// The loss of the [averaged](Self::averaged) model on data that are set aside. A checkpoint
    /// of this step remembers it.
    ///
    /// `go_on` is asked between batches: nothing comes of a validation that is broken off.
    pub fn validate(
        &mut self,
        validation: &Validation,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<ValidationReport>> {
        let step = self.progress.step;
        let report = memory::caught(|| {
            validation.report(self.averaged()?.network.as_ref(), &self.objective, step, go_on)
        })?;
        if let Some(report) = &report {
            self.progress.validated = Some((step, report.loss));
        }
        Ok(report)
    }

    /// The loss of the validation of this step, if it was validated.
    pub fn validated(&self) -> Option<f64> {
        self.progress.validated.filter(|(at, _)| *at == self.progress.step).map(|(_, loss)| loss)
    }

    /// The number of steps taken.
    pub fn step(&self) -> u64 {
        self.progress.step
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the network learns.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }

    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts {
            model: &self.model,
            optimizer: &self.optimizer,
            averages: &self.averages,
            uncertainty: self.uncertainty.as_ref(),
            loss_scale: self.loss_scale,
            loader: &self.loader,
            progress: self.progress,
        }
    }

    pub(crate) fn go_on(
        &mut self,
        progress: Progress,
        loader: LoaderState,
        loss_scale: Option<LossScale>,
    ) -> Result<()> {
        self.loader.resume(loader)?;
        self.progress = progress;
        if self.loss_scale.is_some() {
            self.loss_scale = Some(loss_scale.unwrap_or_default());
        }
        Ok(())
    }

    fn take_step(&mut self) -> Result<StepReport> {
        let start = Instant::now();
        let Sum { loss, gradients, samples } = self.accumulated()?;
        let lr = self.config.lr.at(self.progress.step, self.config.steps);
        let grad_norm = self.clip(&gradients)?;
        if self.is_sound(loss, grad_norm)? {
            let gradients: Vec<&Tensor> = gradients.iter().collect();
            self.optimizer.step(&trained(&self.model, &self.uncertainty), &gradients, lr)?;
        }
        self.progress.step += 1;
        self.progress.samples += samples as u64;
        let Progress { step, samples: all, .. } = self.progress;
        let parameters: Vec<&Tensor> = self.model.network.parameters().tensors().collect();
        self.averages.update(&parameters, Clock { step, samples: all, new: samples })?;
        let samples_per_second = samples as f64 / start.elapsed().as_secs_f64();
        let loss_scale = self.loss_scale;
        Ok(StepReport { step, loss, lr, grad_norm, loss_scale, samples, samples_per_second })
    }

    /// Whether the gradients may reach the weights. In half precision one that is not finite is
    /// passed over, for it may be the scale's fault; everywhere else it ends the run.
    fn is_sound(&mut self, loss: f64, grad_norm: Option<f64>) -> Result<bool> {
        let finite = loss.is_finite() && grad_norm.is_none_or(f64::is_finite);
        let hope = self.loss_scale.as_mut().map_or(finite, |scale| scale.update(finite));
        match finite || hope {
            true => Ok(finite),
            false => Err(Error::NonFinite { step: self.progress.step + 1, loss, grad_norm }),
        }
    }

    /// Loss and gradients, averaged over the batches of a step, and the number of data.
    fn accumulated(&mut self) -> Result<Sum> {
        let parts = self.config.accumulate;
        let mut sum = Sum { loss: 0.0, gradients: vec![], samples: 0 };
        for part in 0..parts {
            let index = self.progress.step * parts as u64 + part as u64;
            let batch = self.one_batch(Draw { seed: self.config.seed, index })?;
            sum.loss += batch.loss / parts as f64;
            sum.samples += batch.samples;
            match part {
                0 => sum.gradients = batch.gradients,
                _ => {
                    for (sum, gradient) in sum.gradients.iter_mut().zip(&batch.gradients) {
                        let _ = sum.g_add_(gradient);
                    }
                }
            }
        }
        if parts > 1 {
            optim::scale(&sum.gradients.iter().collect::<Vec<_>>(), 1.0 / parts as f64)?;
        }
        Ok(sum)
    }

    fn one_batch(&mut self, draw: Draw) -> Result<Sum> {
        let batch = match self.loader.next() {
            Some(batch) => batch?,
            None => {
                let expected = "one that goes round and round";
                return Err(Error::invalid("the loader", "at its end", expected));
            }
        };
        self.batch_size = batch.x.size()[0] as usize;
        let network = &self.model.network;
        let device = network.parameters().device();
        let example = self.objective.example(&batch.x.to_device(device), draw)?;
        let cond = batch.labels.map(|labels| Cond::labels(labels.to_device(device)));
        let mut rng = Generator::new(draw.labels_seed())?;
        let scale = self.loss_scale.map(|l| l.scale);
        let scaled = |gradient: Tensor| match scale {
            Some(scale) => gradient * scale,
            None => gradient,
        };
        let (uncertainty, mut of_weight) = (&self.uncertainty, None);
        let mut loss = |out: &Tensor| {
            let Some(uncertainty) = uncertainty else {
                let (loss, gradient) = example.loss(out);
                return Ok((loss, scaled(gradient)));
            };
            let weighed = uncertainty.loss(&example, out)?;
            of_weight = Some(scaled(weighed.of_weight));
            Ok((weighed.loss, scaled(weighed.of_output)))
        };
        let (input, noise) = (&example.input, &example.noise);
        let result = network.gradients(input, noise, cond.as_ref(), &mut rng, &mut loss)?;
        let mut gradients = result.gradients;
        gradients.extend(of_weight);
        let loss = f64::try_from(&result.loss).map_err(tweedie_torch::Error::from)?;
        Ok(Sum { loss, gradients, samples: self.batch_size })
    }

    /// Brings gradients to the scale of the loss, and below the largest norm. Returns their norm,
    /// if anything needs it.
    fn clip(&self, gradients: &[Tensor]) -> Result<Option<f64>> {
        let Config { clip_norm, report_grad_norm, .. } = self.config;
        if clip_norm.is_none() && self.loss_scale.is_none() && !report_grad_norm {
            return Ok(None);
        }
        let gradients: Vec<&Tensor> = gradients.iter().collect();
        let scale = self.loss_scale.map_or(1.0, |l| l.scale);
        let norm = optim::norm(&gradients)? / scale;
        let clipped = clip_norm.filter(|&limit| norm > limit).map_or(1.0, |limit| limit / norm);
        if norm.is_finite() && clipped / scale != 1.0 {
            optim::scale(&gradients, clipped / scale)?;
        }
        Ok(Some(norm))
    }
}

/// What the optimiser changes: the network's parameters, then the learnt weighting's.
fn trained<'a>(
    model: &'a Model<Box<dyn Trainable>>,
    uncertainty: &'a Option<Uncertainty>,
) -> Vec<&'a Tensor> {
    model.network.parameters().tensors().chain(uncertainty.as_ref().map(|u| &u.weight)).collect()
}

/// What a checkpoint is made of.
pub(crate) struct Parts<'a> {
    pub(crate) model: &'a Model<Box<dyn Trainable>>,
    pub(crate) optimizer: &'a AdamW,
    pub(crate) averages: &'a Averages,
    pub(crate) uncertainty: Option<&'a Uncertainty>,
    pub(crate) loss_scale: Option<LossScale>,
    pub(crate) loader: &'a Loader,
    pub(crate) progress: Progress,
}

impl Parts<'_> {
    /// The names of what the optimiser changes, in its order.
    pub(crate) fn trained_names(&self) -> impl Iterator<Item = &str> {
        let names = self.model.network.parameters().named().map(|(name, _)| name);
        names.chain(self.uncertainty.map(|_| Uncertainty::NAME))
    }
}

impl Iterator for Trainer {
    type Item = Result<StepReport>;

    /// The next step; after the last one, or a failed one, none.
    fn next(&mut self) -> Option<Result<StepReport>> {
        if self.failed || self.progress.step >= self.config.steps {
            return None;
        }
        let report = memory::caught(|| self.take_step());
        self.failed = report.is_err();
        Some(report.map_err(|error| memory::with_batch(error, self.batch_size)))
    }
}
