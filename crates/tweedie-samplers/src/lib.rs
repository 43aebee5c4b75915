#![doc = include_str!("../README.md")]
//!
//! # Reading order
//! 1. [`Sampler`]: settings that make a solver; [`Steps`]: the iterator that drives it.
//! 2. [`Run`]: what a solver sees, and the one operation that all solvers are made of.
//! 3. The solvers, a file each: [`Euler`], [`Accelerated`] (DDPM, DDIM), [`Heun`],
//!    [`EdmStochastic`].
//! 4. [`SamplerSpec`]: samplers by name.

mod accelerated;
mod edm_stochastic;
mod euler;
mod frame;
mod heun;
mod run;
mod sampler;
mod spec;

pub use accelerated::Accelerated;
pub use edm_stochastic::EdmStochastic;
pub use euler::Euler;
pub use frame::Frame;
pub use heun::Heun;
pub use run::Run;
pub use sampler::{Sampler, Solver, Step, Steps};
pub use spec::{Info, SamplerSpec};
