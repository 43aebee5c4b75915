//! How a network is told its noise level and its class.

mod class;
mod sigma;
mod timestep;

pub use class::ClassEmbedder;
pub use sigma::{SigmaEmbedderSinCos, sin_cos};
pub use timestep::{TimestepEmbedder, timestep_embedding};
