//! Tests of the crate from outside: against other implementations, as properties, and with
//! arguments that nobody should give.

#![expect(clippy::unwrap_used, reason = "clippy knows test functions, not their helpers")]

mod diffusers;
mod golden;
mod hostile;
mod k_diffusion;
mod paths;
mod properties;
mod scipy;
mod smalldiffusion;
mod specs;
