#![doc = include_str!("../README.md")]
//!
//! # Reading order
//! 1. [`StableDiffusion`]: opens a model and carries out a [`Request`](pipeline::Request).
//! 2. [`files`]: what a model is on disk; [`scheduler`]: its noise levels.
//! 3. [`text`]: from a prompt to tokens; [`clip`]: from tokens to what the UNet attends to.
//! 4. [`unet`] and [`vae`]: the networks.

pub mod clip;
mod error;
pub mod files;
pub mod image;
pub mod lora;
mod nn;
mod options;
pub mod pipeline;
pub mod scheduler;
pub mod text;
pub mod unet;
pub mod vae;

pub use clip::ClipText;
pub use error::{Error, Result};
pub use pipeline::StableDiffusion;
pub use unet::Unet;
pub use vae::Vae;
