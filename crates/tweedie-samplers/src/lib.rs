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
//!    [`ExponentialAb`], [`UniPc`], [`DpmSolverV3`] with [`Statistics`], [`Deis`], [`Lms`], [`Pndm`], [`Ipndm`].
//!    With fresh noise at each step: [`EulerAncestral`], [`Dpm2Ancestral`], [`DpmPp2SAncestral`],
//!    [`DpmPpSde`], [`DpmPp2MSde`], [`DpmPp3MSde`], [`SaSolver`], [`PredictorCorrector`],
//!    [`EulerMaruyama`], [`Restart`], [`Ddpm`], [`Consistency`].
//!    Langevin dynamics at each level: [`AnnealedLangevin`], [`UnderdampedLangevin`]; with
//!    a velocity all the way: [`Cld`].
//!    Many levels at once: [`Paradigms`].
//!    Of data that were measured: [`Ddrm`].
//! 4. [`SamplerSpec`]: samplers by name.
//! 5. From data to noise: [`DdimInversion`] and [`Edict`]; [`interpolation`] between two pictures.

mod accelerated;
mod adaptive;
mod ancestral;
mod cld;
mod consistency;
mod ddpm;
mod ddrm;
mod deis;
mod dpm_2;
mod dpm_pp_2s;
mod dpm_pp_multi;
mod dpm_solver;
mod dpm_solver_v3;
mod dpmpp_sde;
mod edm_stochastic;
mod euler;
mod euler_maruyama;
mod exponential_ab;
mod frame;
mod heun;
mod history;
mod integrals;
pub mod interpolation;
mod inversion;
mod langevin;
mod lms;
mod midpoint;
mod multistep;
mod multistep_sde;
mod paradigms;
mod pndm;
mod predictor_corrector;
mod restart;
mod rk4;
mod run;
mod runge_kutta;
mod sa_solver;
mod sampler;
mod spec;
mod statistics;
mod two_stage_ancestral;
mod uni_pc;

pub use accelerated::Accelerated;
pub use adaptive::{BogackiShampine, DormandPrince, Tolerance};
pub use ancestral::EulerAncestral;
pub use cld::Cld;
pub use consistency::Consistency;
pub use ddpm::Ddpm;
pub use ddrm::Ddrm;
pub use deis::{Coordinate, Deis};
pub use dpm_2::Dpm2;
pub use dpm_pp_2s::DpmPp2S;
pub use dpm_pp_multi::{DpmPp2M, DpmPp3M, SecondOrder};
pub use dpm_solver::DpmSolver;
pub use dpm_solver_v3::{DpmSolverV3, DpmSolverV3Normal};
pub use dpmpp_sde::DpmPpSde;
pub use edm_stochastic::EdmStochastic;
pub use euler::Euler;
pub use euler_maruyama::{EulerMaruyama, NamedSde, Sde};
pub use exponential_ab::ExponentialAb;
pub use frame::Frame;
pub use heun::Heun;
pub use inversion::{Coupled, DdimInversion, Edict};
pub use langevin::{AnnealedLangevin, UnderdampedLangevin};
pub use lms::Lms;
pub use midpoint::Midpoint;
pub use multistep_sde::{DpmPp2MSde, DpmPp3MSde, SolverType};
pub use paradigms::Paradigms;
pub use pndm::{Ipndm, Pndm, Start};
pub use predictor_corrector::PredictorCorrector;
pub use restart::Restart;
pub use rk4::Rk4;
pub use run::Run;
pub use sa_solver::SaSolver;
pub use sampler::{Sampler, Solver, Step, Steps};
pub use spec::{Info, SamplerSpec};
pub use statistics::{EmpiricalStatistics, NormalData, Statistics, Tables};
pub use two_stage_ancestral::{Dpm2Ancestral, DpmPp2SAncestral};
pub use uni_pc::{BFunction, UniC, UniP, UniPc};
