#![doc = include_str!("../README.md")]
//!
//! # Reading order
//! 1. [`Objective`]: what the network is asked, and what it should have answered; [`Weighting`].
//! 2. [`Trainer`]: the loop, an iterator of steps; [`LearningRate`].
//! 3. [`checkpoint`]: how a run goes on; [`run_dir`]: the folder of a run.

pub mod checkpoint;
mod error;
mod lr;
pub mod objective;
pub mod run_dir;
mod trainer;
mod weighting;

pub use error::{Error, Result};
pub use lr::{Decay, LearningRate};
pub use objective::Objective;
pub use run_dir::RunDir;
pub use trainer::{Config, StepReport, Trainer};
pub use weighting::Weighting;
