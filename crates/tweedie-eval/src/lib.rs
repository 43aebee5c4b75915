#![doc = include_str!("../README.md")]
//!
//! # Reading order
//! 1. [`Evaluator`]: everything at once; below it, a file a measure.
//! 2. Of pixels: [`sliced`], [`mmd`](kernel::mmd), [`nearest`].
//! 3. Of features: [`Moments`] and [`frechet_distance`], [`kernel_distance`], [`manifold`].
//! 4. Where features come from: [`Extractor`], [`classifier`], [`inception`].

pub mod classifier;
mod error;
mod evaluate;
mod features;
mod frechet;
pub mod inception;
pub mod kernel;
pub mod manifold;
mod moments;
pub mod nearest;
mod sets;
pub mod sliced;

pub use error::{Error, Result};
pub use evaluate::{Evaluation, Evaluator, METRICS, Progress, Sets};
pub use features::{Extractor, Reference, features, fingerprint};
pub use frechet::frechet_distance;
pub use kernel::{KernelConfig, KernelDistance, kernel_distance};
pub use moments::Moments;
