#![doc = include_str!("../README.md")]
//!
//! # Reading order
//! 1. [`Source`]: samples by their number; [`Dataset`] is one in memory.
//! 2. [`Loader`]: batches of a source, in an order that depends on the seed alone; [`augment`]:
//!    what may happen to a sample on the way.
//! 3. Where data come from. In memory: [`toy`], [`digits`], [`idx`], [`cifar`], [`npy`]. From
//!    disk, batch by batch: [`images`], [`latents`].

pub mod augment;
pub mod cifar;
mod dataset;
pub mod digits;
mod error;
pub mod idx;
pub mod images;
pub mod latents;
mod loader;
pub mod npy;
mod resize;
mod source;
mod split;
mod subset;
pub mod toy;

pub use augment::Map;
pub use dataset::{Batch, Dataset};
pub use error::{Error, Result};
pub use loader::{Loader, LoaderConfig, LoaderState};
pub use resize::Filter;
pub use source::Source;
pub use split::Split;
pub use subset::Subset;
