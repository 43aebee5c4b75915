#![doc = include_str!("../README.md")]

pub mod clip;
mod error;
pub mod files;
pub mod lora;
mod nn;
mod options;
pub mod scheduler;
pub mod text;
pub mod unet;
pub mod vae;

pub use clip::ClipText;
pub use error::{Error, Result};
pub use unet::Unet;
pub use vae::Vae;
