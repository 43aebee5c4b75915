//! The settings of a training run.

use crate::{EmaConfig, Error, LearningRate, Result, UncertaintyConfig};
use tweedie_torch::optim::AdamWConfig;

/// The settings of a [`Trainer`](crate::Trainer).
#[derive(Clone, Debug, PartialEq)]
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
    /// Averages of the weights.
    pub ema: EmaConfig,
    /// A weighting of levels that is learnt, on top of the objective's.
    pub learned_weighting: Option<UncertaintyConfig>,
    /// Whether steps report the norm of the gradients even if nothing needs it. With it, a
    /// gradient that is no number stops the run before it reaches the weights.
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
            ema: EmaConfig::default(),
            learned_weighting: None,
            report_grad_norm: true,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.lr.check()?;
        if self.accumulate == 0 {
            return Err(Error::invalid("accumulate", 0, "at least 1"));
        }
        self.ema.check()?;
        if let Some(learned) = &self.learned_weighting {
            learned.check()?;
        }
        match self.clip_norm {
            Some(norm) if norm.is_nan() || norm <= 0.0 => {
                Err(Error::invalid("clip_norm", norm, "a positive number"))
            }
            _ => Ok(()),
        }
    }
}
