#![doc = include_str!("../README.md")]
//!
//! # Reading order
//! 1. [`Objective`]: what the network is asked, and what it should have answered; [`Weighting`],
//!    and one that is learnt ([`UncertaintyConfig`]).
//! 2. [`Trainer`]: the loop, an iterator of steps; [`Config`], [`LearningRate`], [`Precision`] and
//!    [`LossScale`].
//! 3. [`ema`]: averages of the weights, and how every width is had after the run.
//! 4. [`Validation`]: the loss on data that are set aside.
//! 5. [`checkpoint`]: how a run goes on; [`Retention`]: which checkpoints stay.
//! 6. [`run_dir`]: the folder of a run; [`metrics`] and [`tensorboard`]: what it tells; [`log`]: how
//!    that is read again.

pub mod checkpoint;
mod config;
pub mod ema;
mod error;
mod hash;
pub mod log;
mod loss_scale;
mod lr;
pub mod memory;
pub mod metrics;
pub mod objective;
mod precision;
pub mod retention;
pub mod run_dir;
pub mod tensorboard;
mod trainer;
mod uncertainty;
pub mod validation;
mod weighting;

pub use config::Config;
pub use ema::{Ema, EmaConfig};
pub use error::{Error, Result};
pub use loss_scale::LossScale;
pub use lr::{Decay, LearningRate};
pub use objective::Objective;
pub use precision::Precision;
pub use retention::Retention;
pub use run_dir::{RunDir, Which};
pub use trainer::{StepReport, Trainer};
pub use uncertainty::UncertaintyConfig;
pub use validation::{LevelLoss, Validation, ValidationReport};
pub use weighting::Weighting;
