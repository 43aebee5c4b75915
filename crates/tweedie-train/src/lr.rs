//! The learning rate over a run.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Linear warm-up, then constant or along half a cosine to 0 at the last step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearningRate {
    /// The highest.
    pub lr: f64,
    /// Steps to get there.
    #[serde(default)]
    pub warmup_steps: u64,
    /// What follows.
    #[serde(default)]
    pub decay: Decay,
}

/// The learning rate after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Stays.
    #[default]
    Constant,
    /// `(1 + cos(π·t)) / 2` over the rest of the run.
    Cosine,
}

impl LearningRate {
    /// A constant one.
    pub fn constant(lr: f64) -> Self {
        LearningRate { lr, warmup_steps: 0, decay: Decay::Constant }
    }

    /// That its numbers make sense.
    pub fn check(&self) -> Result<()> {
        match self.lr.is_finite() && self.lr >= 0.0 {
            true => Ok(()),
            false => Err(Error::invalid("lr", self.lr, "a number of at least 0")),
        }
    }

    /// At step `step` of `steps`, counted from 0.
    pub fn at(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup_steps {
            return self.lr * (step + 1) as f64 / (self.warmup_steps + 1) as f64;
        }
        match self.decay {
            Decay::Constant => self.lr,
            Decay::Cosine => {
                let rest = steps.saturating_sub(self.warmup_steps).max(1) as f64;
                let t = ((step - self.warmup_steps) as f64 / rest).min(1.0);
                self.lr * (1.0 + (std::f64::consts::PI * t).cos()) / 2.0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn up_and_down() {
        let lr = LearningRate { lr: 1.0, warmup_steps: 4, decay: Decay::Cosine };
        let at: Vec<f64> = [0, 1, 3, 4, 7, 10].map(|s| lr.at(s, 10)).to_vec();
        for (found, expected) in at.iter().zip([0.2, 0.4, 0.8, 1.0, 0.5, 0.0]) {
            assert!((found - expected).abs() < 1e-12, "{at:?}");
        }
    }

    proptest! {
        #[test]
        fn never_above_its_highest(steps in 0u64..1000, warmup_steps in 0u64..1000, step in 0u64..2000) {
            for decay in [Decay::Constant, Decay::Cosine] {
                let at = LearningRate { lr: 0.1, warmup_steps, decay }.at(step, steps);
                prop_assert!((0.0..=0.1).contains(&at));
            }
        }
    }
}
