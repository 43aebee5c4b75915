#![doc = include_str!("../README.md")]
//!
//! # Reading order
//! 1. [`ModelSpec`]: a model as settings, and the one place where models are listed.
//! 2. [`Trainable`]: what a training loop needs of a network.
//! 3. [`mlp`]: the networks for points in the plane.
//! 4. [`unet`] and [`dit`]: the networks for images; [`transformer_1d`]: the one for sequences;
//!    [`transformer`]: what they share.
//!    [`IdentityAttention`]: one of them without it, for guidance.
//! 5. [`embed`]: levels and classes as vectors.
//! 6. [`files`]: weights files that describe themselves.

mod checkpointing;
pub mod dit;
pub mod embed;
mod error;
pub mod files;
mod inputs;
pub mod mlp;
mod perturbed;
mod spec;
mod trainable;
pub mod transformer;
pub mod transformer_1d;
pub mod unet;

pub use error::{Error, Result};
pub use files::Description;
pub use perturbed::{IdentityAttention, SelfAttention};
pub use spec::ModelSpec;
pub use trainable::{Gradients, Loss, Trainable};
