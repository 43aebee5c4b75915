//! Inverse problems without training: a measurement `y = A·x0 + noise` brought into the estimate.
//!
//! A posterior is a [`Denoiser`](crate::Denoiser) too, `E[x0 | x, y]`, so every sampler draws from it.
//! By Tweedie's formula it is the prior's estimate plus `sigma²/alpha·∇ₓ log p(y | x)`, and the
//! methods differ in how they guess that likelihood:
//!
//! | method | `p(y | x)` | gradients | source |
//! |---|---|---|---|
//! | [`Posterior::pigdm`] | `N(y; A·x0, r²·AAᵀ + noise_std²)` | yes | ΠGDM, ICLR 2023 |
//! | [`Posterior::dps`] | `N(y; A·x0, noise_std²)` | yes | DPS, arXiv:2209.14687 |
//! | [`Ddnm`] | the estimate is projected on what fits `y` | no | DDNM, arXiv:2212.00490 |
//!
//! DDRM, which changes the step and not the estimate, is a sampler (`tweedie_samplers::Ddrm`) for
//! operators that are [`Spectral`].

mod ddnm;
mod operator;
mod posterior;

pub use ddnm::Ddnm;
pub use operator::{AveragePool, Blur, LinearOperator, Mask, Spectral};
pub use posterior::Posterior;
