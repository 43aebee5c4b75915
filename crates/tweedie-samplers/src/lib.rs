#![doc = include_str!("../README.md")]
//!
//! # Reading order
//! 1. [`Sampler`]: settings that make a solver; [`Steps`]: the iterator that drives it.
//! 2. [`Run`]: what a solver sees, and the one operation that all solvers are made of.
//! 3. The solvers, a file each. First order: [`Euler`], [`Accelerated`] (DDPM, DDIM).
//!    Runge–Kutta, on `runge_kutta`: [`Heun`], [`EdmStochastic`], [`Dpm2`], [`Midpoint`], [`Rk4`],
//!    [`BogackiShampine`], [`DormandPrince`].
//!    Single-step in lambda: [`DpmSolver`], [`DpmPp2S`].
//!    Multistep, on `history`, `integrals` and `multistep`: [`DpmPp2M`], [`DpmPp3M`],
//!    [`ExponentialAb`], [`UniPc`], [`Deis`], [`Lms`], [`Pndm`], [`Ipndm`].
//! 4. [`SamplerSpec`]: samplers by name.

mod accelerated;
mod adaptive;
mod deis;
mod dpm_2;
mod dpm_pp_2s;
mod dpm_pp_multi;
mod dpm_solver;
mod edm_stochastic;
mod euler;
mod exponential_ab;
mod frame;
mod heun;
mod history;
mod integrals;
mod lms;
mod midpoint;
mod multistep;
mod pndm;
mod rk4;
mod run;
mod runge_kutta;
mod sampler;
mod spec;
mod uni_pc;

pub use accelerated::Accelerated;
pub use adaptive::{BogackiShampine, DormandPrince, Tolerance};
pub use deis::{Coordinate, Deis};
pub use dpm_2::Dpm2;
pub use dpm_pp_2s::DpmPp2S;
pub use dpm_pp_multi::{DpmPp2M, DpmPp3M, SecondOrder};
pub use dpm_solver::DpmSolver;
pub use edm_stochastic::EdmStochastic;
pub use euler::Euler;
pub use exponential_ab::ExponentialAb;
pub use frame::Frame;
pub use heun::Heun;
pub use lms::Lms;
pub use midpoint::Midpoint;
pub use pndm::{Ipndm, Pndm, Start};
pub use rk4::Rk4;
pub use run::Run;
pub use sampler::{Sampler, Solver, Step, Steps};
pub use spec::{Info, SamplerSpec};
pub use uni_pc::{BFunction, UniC, UniP, UniPc};
