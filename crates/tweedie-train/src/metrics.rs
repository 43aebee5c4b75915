//! What a run tells while it goes: the lines of `metrics.jsonl`.
//!
//! A line is one JSON object. Those of training steps have `loss` and `lr`; all others have a
//! `kind`, so that a reader of training steps passes over them.

use crate::{StepReport, ValidationReport};
use serde::{Deserialize, Serialize};

/// A training step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Steps taken.
    pub step: u64,
    /// The loss of that step.
    pub loss: f64,
    /// Its learning rate.
    pub lr: f64,
    /// The norm of its gradients.
    pub grad_norm: Option<f64>,
    /// Data a second.
    pub samples_per_second: f64,
    /// In half precision: what the loss was multiplied by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<f64>,
    /// In half precision: steps so far that changed nothing, since gradients were not finite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
}

/// Anything else that happens in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The run began, or goes on.
    Start {
        /// Steps taken before.
        step: u64,
        /// What the network computes in: `f32`, `bf16` or `f16`.
        compute: String,
        /// `cpu`, `cuda:0`, …
        device: String,
    },
    /// The loss on data that are set aside.
    Validation(ValidationReport),
}

/// What every line has.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) step: u64,
}

impl From<&StepReport> for Metrics {
    fn from(report: &StepReport) -> Self {
        let &StepReport { step, loss, lr, grad_norm, samples_per_second, loss_scale, .. } = report;
        Metrics {
            step,
            loss,
            lr,
            grad_norm: grad_norm.filter(|norm| norm.is_finite()),
            samples_per_second,
            loss_scale: loss_scale.map(|l| l.scale),
            skipped: loss_scale.map(|l| l.skipped),
        }
    }
}
