#![doc = include_str!("../README.md")]
//!
//! # Reading order
//! 1. [`tensor`]: numbers in and out; [`fused`]: what sampler steps are made of.
//! 2. [`weights`]: safetensors files; [`parameters`]: named parameters and plain layers.
//! 3. [`ops`]: what networks do between their products; [`frozen`]: layers that only infer, and what may
//!    lie beside their weights ([`low_rank`]).
//! 4. [`autograd`], [`optim`], [`rng`]: what tch has not, or has in a way that bites.
//! 5. [`runtime`]: what a program sets when it starts.

pub mod autograd;
mod error;
mod ffi;
pub mod frozen;
pub mod fused;
pub mod low_rank;
pub mod ops;
pub mod optim;
pub mod parameters;
pub mod rng;
pub mod runtime;
pub mod tensor;
pub mod weights;

pub use error::{Error, Result};
