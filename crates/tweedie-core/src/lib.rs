#![doc = include_str!("../README.md")]
//!
//! # Reading order
//! 1. [`Denoiser`]: the one function a sampler needs to know.
//! 2. [`Prediction`]: what a network may be trained to say, and how `x0` follows from it.
//! 3. [`Parametrization`]: where the network lives, how its input is scaled, what it is told.
//! 4. [`Network`], [`Cond`] and [`Model`]: a trained network becomes a denoiser.
//! 5. [`guidance`] and [`combinators`]: denoisers made of denoisers.
//! 6. [`inverse`]: what was measured of the data, brought into the estimate.
//! 7. [`noise`]: where random numbers come from, and why a sample does not change with its batch.
//! 8. [`closed_form`]: denoisers that are known exactly.

mod blend;
pub mod closed_form;
pub mod combinators;
mod cond;
mod denoiser;
mod error;
pub mod guidance;
pub mod inverse;
mod model;
pub mod noise;
mod parametrization;
mod prediction;

pub use combinators::DenoiserExt;
pub use cond::Cond;
pub use denoiser::Denoiser;
pub use error::{Error, Result};
pub use guidance::Guidance;
pub use model::{Model, Network};
pub use noise::Noise;
pub use parametrization::{Coefficients, NoiseInput, Parametrization, Scaling};
pub use prediction::Prediction;
pub use tweedie_schedules::{Grid, NoiseLevel, Scale};
