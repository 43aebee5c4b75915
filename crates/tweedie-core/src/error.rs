//! What can go wrong between a noisy tensor and its denoised estimate.

use tweedie_schedules::NoiseLevel;

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate, and of those that build denoisers on it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// libtorch, or the bridge to it, refused.
    #[error(transparent)]
    Torch(#[from] tweedie_torch::Error),
    /// A schedule or a grid refused.
    #[error(transparent)]
    Schedule(#[from] tweedie_schedules::Error),
    /// A tensor has another shape than it must have.
    #[error("{what} has shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// The shape that was asked for, in words or numbers.
        expected: String,
        /// The shape that came.
        found: Vec<i64>,
    },
    /// An argument has a value that makes no sense.
    #[error("{what} is {found}, expected {expected}")]
    Invalid {
        /// Which argument.
        what: &'static str,
        /// Its value.
        found: String,
        /// What would have been right.
        expected: String,
    },
    /// A number stopped being finite.
    #[error("{what} is not finite at step {step} (alpha {}, sigma {})", level.alpha, level.sigma)]
    NonFinite {
        /// Which tensor: the state, or the estimate of the denoiser.
        what: &'static str,
        /// The step, counted from 0.
        step: usize,
        /// The level at which the denoiser was asked.
        level: NoiseLevel,
    },
    /// A solver that chooses its own steps would have to make them shorter than it may, or more
    /// than it may.
    #[error(
        "step {step}: the tolerance asks for too short steps at alpha {}, sigma {}: {size:e} of the \
         noise that is left",
        level.alpha, level.sigma
    )]
    StepSize {
        /// The step of the grid, counted from 0.
        step: usize,
        /// Where the solver gave up.
        level: NoiseLevel,
        /// The length that it came to, as a share of the time there.
        size: f64,
    },
    /// A denoiser cannot answer at this level.
    #[error("{what} has no answer at alpha {}, sigma {}: {why}", level.alpha, level.sigma)]
    Level {
        /// Which denoiser or prediction.
        what: &'static str,
        /// The level.
        level: NoiseLevel,
        /// The reason.
        why: &'static str,
    },
    /// A condition that the network cannot take.
    #[error("condition: {0}")]
    Condition(String),
    /// A replayed noise source ran out of tensors.
    #[error("replayed noise ran out after {0} draws")]
    NoiseExhausted(usize),
}

impl Error {
    /// An [`Error::Invalid`] from anything that prints.
    pub fn invalid(
        what: &'static str,
        found: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Error::Invalid { what, found: found.to_string(), expected: expected.into() }
    }

    /// An [`Error::Shape`] of `found`.
    pub fn shape(what: &'static str, expected: impl Into<String>, found: &[i64]) -> Self {
        Error::Shape { what, expected: expected.into(), found: found.to_vec() }
    }
}
