//! Averages of the weights over a run.

pub mod power;
pub mod snapshots;

use crate::{Error, Result, checkpoint};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_torch::optim;
use tweedie_torch::parameters::Parameters;

/// Which averages are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmaConfig {
    /// The one that samples are made with; none: the weights as they are.
    pub average: Option<Ema>,
    /// Widths of power-function averages that are kept for [`snapshots`], besides: two make every
    /// other one. The paper's are 0.05 and 0.10.
    pub post_hoc: Vec<f64>,
}

/// How an average forgets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ema {
    /// By the same factor at every step.
    Decay {
        /// How much stays at a step.
        decay: f64,
        /// At first `(1 + n)/(10 + n)` after `n` steps, if that is less, as `torch_ema` and
        /// TensorFlow have it.
        #[serde(default)]
        warmup: bool,
    },
    /// By half over so many samples, whatever the batch (EDM's).
    HalfLife {
        /// Samples after which half is left.
        samples: f64,
        /// The half-life is at most this part of the samples so far; EDM's is 0.05.
        #[serde(default)]
        ramp_up: Option<f64>,
    },
    /// As a power of the step: [`power`].
    Power {
        /// The width, relative to the run so far, in (0, 1/√12].
        sigma_rel: f64,
    },
}

/// Where a run is after a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Steps taken, that one included.
    pub(crate) step: u64,
    /// Samples seen, those of that step included.
    pub(crate) samples: u64,
    /// Samples of that step.
    pub(crate) new: usize,
}

impl EmaConfig {
    /// One average that forgets by the same factor at every step; none at all if it is 0.
    pub fn decay(decay: f64) -> Self {
        let average = (decay != 0.0).then_some(Ema::Decay { decay, warmup: false });
        EmaConfig { average, post_hoc: vec![] }
    }

    /// That its numbers make sense.
    pub fn check(&self) -> Result<()> {
        if let Some(average) = &self.average {
            average.check()?;
        }
        for (i, &sigma_rel) in self.post_hoc.iter().enumerate() {
            power::gamma(sigma_rel)?;
            if self.post_hoc[..i].contains(&sigma_rel) {
                return Err(Error::invalid("a width of post_hoc", sigma_rel, "one of its own"));
            }
        }
        Ok(())
    }
}

impl Ema {
    /// Half is left after so many steps.
    pub fn half_life_steps(steps: f64) -> Self {
        Ema::Decay { decay: 0.5f64.powf(1.0 / steps), warmup: false }
    }

    /// That its numbers make sense.
    pub fn check(&self) -> Result<()> {
        let positive = |v: f64| v.is_finite() && v > 0.0;
        match *self {
            Ema::Decay { decay, .. } if !(0.0..1.0).contains(&decay) => {
                Err(Error::invalid("ema_decay", decay, "a number in [0, 1)"))
            }
            Ema::HalfLife { samples, .. } if !positive(samples) => {
                Err(Error::invalid("the half-life", samples, "a positive number of samples"))
            }
            Ema::HalfLife { ramp_up: Some(ratio), .. } if !positive(ratio) => {
                Err(Error::invalid("ramp_up", ratio, "a positive number"))
            }
            Ema::Power { sigma_rel } => power::gamma(sigma_rel).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// How much stays at a step.
    pub(crate) fn at(&self, clock: Clock) -> Result<f64> {
        Ok(match *self {
            Ema::Decay { decay, warmup: false } => decay,
            Ema::Decay { decay, warmup: true } => {
                let n = clock.step as f64;
                decay.min((1.0 + n) / (10.0 + n))
            }
            Ema::HalfLife { samples, ramp_up } => {
                let limit = ramp_up.map_or(f64::MAX, |ratio| ratio * clock.samples as f64);
                0.5f64.powf(clock.new as f64 / samples.min(limit))
            }
            Ema::Power { sigma_rel } => power::decay(power::gamma(sigma_rel)?, clock.step),
        })
    }
}

/// An average that is kept.
#[derive(Debug)]
pub(crate) struct Average {
    pub(crate) ema: Ema,
    /// Its file in a checkpoint.
    pub(crate) file: String,
    /// In the order of the parameters.
    pub(crate) tensors: Vec<Tensor>,
}

/// All averages that are kept, the one for samples first.
#[derive(Debug)]
pub(crate) struct Averages {
    pub(crate) all: Vec<Average>,
    has_main: bool,
}

impl Averages {
    pub(crate) fn new(config: &EmaConfig, parameters: &Parameters) -> Result<Self> {
        let main = config.average.map(|ema| (ema, checkpoint::EMA.to_owned()));
        let post_hoc = config
            .post_hoc
            .iter()
            .map(|&sigma_rel| (Ema::Power { sigma_rel }, format!("ema-{sigma_rel}.safetensors")));
        let all = main
            .into_iter()
            .chain(post_hoc)
            .map(|(ema, file)| Ok(Average { ema, file, tensors: parameters.copies()? }));
        Ok(Averages { all: all.collect::<Result<_>>()?, has_main: config.average.is_some() })
    }

    /// The one for samples.
    pub(crate) fn main(&self) -> Option<&Average> {
        self.all.first().filter(|_| self.has_main)
    }

    /// The others, with their widths.
    pub(crate) fn post_hoc(&self) -> impl Iterator<Item = (f64, &Average)> {
        self.all.iter().skip(usize::from(self.has_main)).filter_map(|a| match a.ema {
            Ema::Power { sigma_rel } => Some((sigma_rel, a)),
            _ => None,
        })
    }

    /// One call of libtorch for each.
    pub(crate) fn update(&self, parameters: &[&Tensor], clock: Clock) -> Result<()> {
        for Average { ema, tensors, .. } in &self.all {
            let tensors: Vec<&Tensor> = tensors.iter().collect();
            optim::ema_update(&tensors, parameters, ema.at(clock)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decays_follow_their_definitions() {
        let at = |ema: Ema, step, samples| ema.at(Clock { step, samples, new: 64 }).unwrap();
        let warm = Ema::Decay { decay: 0.99, warmup: true };
        assert_eq!((at(warm, 1, 64), at(warm, 10_000, 64)), (2.0 / 11.0, 0.99));
        let half = Ema::HalfLife { samples: 640.0, ramp_up: None };
        assert!((at(half, 1, 64).powi(10) - 0.5).abs() < 1e-12);
        let ramp = Ema::HalfLife { samples: 640.0, ramp_up: Some(0.05) };
        assert!((at(ramp, 10, 1280) - 0.5).abs() < 1e-12);
        assert_eq!(at(ramp, 1000, 64_000), at(half, 1000, 64_000));
        let steps = at(Ema::half_life_steps(7.0), 1, 64);
        assert!((steps.powi(7) - 0.5).abs() < 1e-12);
        assert_eq!(at(Ema::Power { sigma_rel: 0.1 }, 1, 64), 0.0);
    }

    #[test]
    fn nonsense_is_refused() {
        let wrong = [
            EmaConfig::decay(1.0),
            EmaConfig { post_hoc: vec![0.3], ..Default::default() },
            EmaConfig { post_hoc: vec![0.1, 0.1], ..Default::default() },
            EmaConfig {
                average: Some(Ema::HalfLife { samples: 0.0, ramp_up: None }),
                post_hoc: vec![],
            },
        ];
        assert!(wrong.iter().all(|config| config.check().is_err()));
        assert!(EmaConfig::decay(0.0).average.is_none());
    }
}
