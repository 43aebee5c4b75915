//! Distributions of noise levels to train on.

use crate::level::NoiseLevel;

/// A distribution of noise levels, by its inverse cumulative distribution function:
/// feed it uniform numbers of any generator.
pub trait LevelSampler {
    /// The level below which a fraction `u ∈ (0, 1)` of the noise levels lies.
    /// Values outside are moved to the nearest inside.
    fn level(&self, u: f64) -> NoiseLevel;
}
