//! `[optimizer]` of a recipe.

use serde::{Deserialize, Serialize};
use tweedie::torch::optim::AdamWConfig;
use tweedie::train::Decay;

/// AdamW, and what happens to its learning rate and gradients.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OptimizerSpec {
    /// How much of the mean gradient stays at a step.
    pub(crate) beta1: f64,
    /// How much of the mean square gradient stays at a step.
    pub(crate) beta2: f64,
    /// Added to the root of the mean square gradient.
    pub(crate) eps: f64,
    /// Of the weights, in units of the learning rate.
    pub(crate) weight_decay: f64,
    /// Steps to the highest learning rate.
    pub(crate) warmup_steps: u64,
    /// `constant`, `cosine`, `linear` or `inverse-sqrt`, after warm-up and plateau.
    pub(crate) decay: Decay,
    /// Where the decay begins; at the end of the warm-up if that is later.
    pub(crate) decay_start: u64,
    /// The largest norm that gradients keep; 0: any.
    pub(crate) clip_norm: f64,
    /// Batches that a step adds up.
    pub(crate) accumulate: usize,
}

impl Default for OptimizerSpec {
    /// PyTorch's.
    fn default() -> Self {
        let AdamWConfig { beta1, beta2, eps, weight_decay } = AdamWConfig::default();
        OptimizerSpec {
            beta1,
            beta2,
            eps,
            weight_decay,
            warmup_steps: 0,
            decay: Decay::Constant,
            decay_start: 0,
            clip_norm: 0.0,
            accumulate: 1,
        }
    }
}
