//! The learning rate over a run.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Linear warm-up, then a plateau if wanted, then a decay.
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
    /// Where the decay begins; at the end of the warm-up if that is later.
    #[serde(default)]
    pub decay_start: u64,
}

/// The learning rate after warm-up and plateau, as a part of the highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Stays.
    #[default]
    Constant,
    /// `(1 + cos(π·t)) / 2` over the rest of the run.
    Cosine,
    /// `1 − t` over the rest of the run.
    Linear,
    /// `√(start / step)`, which does not depend on how long the run is (Karras et al.,
    /// arXiv:2312.02696, appendix B: `decay_start` is their reference, warm-up their ramp).
    InverseSqrt,
    // The next decay: a variant here, a line in `Decay::at` and one in `Decay::ALL`.
}

impl Decay {
    /// All of them.
    pub const ALL: [Decay; 4] = [Decay::Constant, Decay::Cosine, Decay::Linear, Decay::InverseSqrt];

    /// At a step that is not before `start`; `steps` is the length of the run.
    fn at(self, step: f64, start: f64, steps: f64) -> f64 {
        let t = ((step - start) / (steps - start).max(1.0)).min(1.0);
        match self {
            Decay::Constant => 1.0,
            Decay::Cosine => (1.0 + (std::f64::consts::PI * t).cos()) / 2.0,
            Decay::Linear => 1.0 - t,
            Decay::InverseSqrt => (start.max(1.0) / step.max(1.0)).sqrt().min(1.0),
        }
    }
}

impl LearningRate {
    /// A constant one.
    pub fn constant(lr: f64) -> Self {
        LearningRate { lr, warmup_steps: 0, decay: Decay::Constant, decay_start: 0 }
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
        let start = self.decay_start.max(self.warmup_steps);
        match step {
            step if step < self.warmup_steps => {
                self.lr * (step + 1) as f64 / (self.warmup_steps + 1) as f64
            }
            step if step < start => self.lr,
            step => self.lr * self.decay.at(step as f64, start as f64, steps as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(decay: Decay, decay_start: u64, steps: [u64; 6]) -> [f64; 6] {
        let lr = LearningRate { lr: 1.0, warmup_steps: 4, decay, decay_start };
        steps.map(|s| lr.at(s, 10))
    }

    fn close(found: [f64; 6], expected: [f64; 6]) {
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < 1e-12, "{found:?} for {expected:?}");
        }
    }

    #[test]
    fn up_and_down() {
        close(at(Decay::Cosine, 0, [0, 1, 3, 4, 7, 10]), [0.2, 0.4, 0.8, 1.0, 0.5, 0.0]);
        close(at(Decay::Linear, 0, [0, 3, 4, 7, 10, 11]), [0.2, 0.8, 1.0, 0.5, 0.0, 0.0]);
        close(at(Decay::Linear, 8, [3, 4, 7, 8, 9, 10]), [0.8, 1.0, 1.0, 1.0, 0.5, 0.0]);
    }

    /// `α / √max(t/t_ref, 1)`, whatever the length of the run.
    #[test]
    fn inverse_square_root_is_edm2s() {
        close(
            at(Decay::InverseSqrt, 100, [0, 4, 99, 100, 400, 10_000]),
            [0.2, 1.0, 1.0, 1.0, 0.5, 0.1],
        );
        close(at(Decay::InverseSqrt, 0, [0, 3, 4, 16, 64, 400]), [0.2, 0.8, 1.0, 0.5, 0.25, 0.1]);
    }

    proptest! {
        #[test]
        fn never_above_its_highest(
            steps in 0u64..1000, warmup_steps in 0u64..1000, decay_start in 0u64..1000,
            step in 0u64..2000,
        ) {
            for decay in Decay::ALL {
                let at = LearningRate { lr: 0.1, warmup_steps, decay, decay_start }.at(step, steps);
                prop_assert!((0.0..=0.1).contains(&at));
            }
        }
    }
}
