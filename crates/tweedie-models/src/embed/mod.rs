//! How a network is told its noise level and its class.

mod class;
mod noise;
mod sigma;
mod timestep;

pub use class::{ClassEmbedder, ClassEmbedding};
pub use noise::{NoiseEmbedder, NoiseEmbedding};
pub use sigma::{SigmaEmbedderSinCos, sin_cos};
pub use timestep::{TimestepEmbedder, timestep_embedding};
