#![doc = include_str!("../README.md")]
//!
//! # Reading order
//! 1. [`Dataset`]: samples and labels as tensors; [`Loader`]: batches of them, in an order that
//!    depends on the seed alone.
//! 2. Where data come from: [`toy`], [`digits`], [`idx`], [`npy`].

mod dataset;
pub mod digits;
mod error;
pub mod idx;
mod loader;
pub mod npy;
pub mod toy;

pub use dataset::{Batch, Dataset};
pub use error::{Error, Result};
pub use loader::{Loader, LoaderConfig, LoaderState, Map};
