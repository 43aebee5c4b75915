//! Tests of the crate from outside: against other implementations, as properties, and with
//! arguments that nobody should give.

mod diffusers;
mod golden;
mod hostile;
mod k_diffusion;
mod paths;
mod properties;
mod scipy;
mod smalldiffusion;
mod specs;
