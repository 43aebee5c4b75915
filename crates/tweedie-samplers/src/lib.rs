#![doc = include_str!("../README.md")]
//!
//! # Reading order
//! 1. [`Sampler`]: settings that make a solver; [`Steps`]: the iterator that drives it.
//! 2. [`Run`]: what a solver sees, and the one operation that all solvers are made of.
//! 3. The solvers, a file each: [`Euler`], [`Accelerated`] (DDPM, DDIM), [`Heun`],
//!    [`EdmStochastic`]; with fresh noise at each step [`EulerAncestral`], [`Dpm2Ancestral`],
//!    [`DpmPp2SAncestral`], [`DpmPpSde`], [`DpmPp2MSde`], [`DpmPp3MSde`], [`SaSolver`],
//!    [`PredictorCorrector`], [`EulerMaruyama`], [`Restart`].
//! 4. [`SamplerSpec`]: samplers by name.

mod accelerated;
mod ancestral;
mod dpmpp_sde;
mod edm_stochastic;
mod euler;
mod euler_maruyama;
mod frame;
mod heun;
mod multistep_sde;
mod predictor_corrector;
mod restart;
mod run;
mod sa_solver;
mod sampler;
mod spec;
mod two_stage_ancestral;

pub use accelerated::Accelerated;
pub use ancestral::EulerAncestral;
pub use dpmpp_sde::DpmPpSde;
pub use edm_stochastic::EdmStochastic;
pub use euler::Euler;
pub use euler_maruyama::{EulerMaruyama, NamedSde, Sde};
pub use frame::Frame;
pub use heun::Heun;
pub use multistep_sde::{DpmPp2MSde, DpmPp3MSde, SolverType};
pub use predictor_corrector::PredictorCorrector;
pub use restart::Restart;
pub use run::Run;
pub use sa_solver::SaSolver;
pub use sampler::{Sampler, Solver, Step, Steps};
pub use spec::{Info, SamplerSpec};
pub use two_stage_ancestral::{Dpm2Ancestral, DpmPp2SAncestral};
