//! What can go wrong between a folder of weights and a picture.

use std::path::{Path, PathBuf};

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A model that is not what it should be, a prompt or a picture that cannot be used, or libtorch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// libtorch, the bridge to it, or a weights file.
    #[error(transparent)]
    Torch(#[from] tweedie_torch::Error),
    /// A denoiser or a sampler refused.
    #[error(transparent)]
    Core(#[from] tweedie_core::Error),
    /// A schedule or a grid refused.
    #[error(transparent)]
    Schedule(#[from] tweedie_schedules::Error),
    /// The system refused to read or write a file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or folder of a model that cannot be used.
    #[error("{}: {problem}", path.display())]
    Model {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        problem: String,
    },
    /// A file of a model on the Hugging Face Hub cannot be had.
    #[error("hub:{repo}: {file} cannot be fetched: {source}")]
    Hub {
        /// The model, `owner/name`.
        repo: String,
        /// Which file.
        file: String,
        /// What was said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A part whose weights do not fit its settings.
    #[error("{part}: {source}")]
    Weights {
        /// The part: `unet`, `vae`, `text_encoder`, …
        part: String,
        /// What differs.
        source: tweedie_torch::Error,
    },
    /// A number stopped being finite.
    #[error(
        "{what} is not finite: are the weights of the {part} damaged, or is its dtype too narrow?"
    )]
    NotFinite {
        /// What has such a number.
        what: &'static str,
        /// The part that made it.
        part: &'static str,
    },
    /// Whoever watches the work has ended it.
    #[error("ended before the picture was done")]
    Cancelled,
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

    /// An [`Error::Model`] of `path`.
    pub fn model(path: &Path, problem: impl Into<String>) -> Self {
        Error::Model { path: path.to_path_buf(), problem: problem.into() }
    }

    /// Names the file that the system's answer is about.
    pub fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
        move |source| Error::File { path: path.to_path_buf(), source }
    }

    /// An [`Error::Shape`] of `found`.
    pub fn shape(what: &'static str, expected: impl Into<String>, found: &[i64]) -> Self {
        Error::Shape { what, expected: expected.into(), found: found.to_vec() }
    }
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        Error::Torch(error.into())
    }
}

impl From<Error> for tweedie_core::Error {
    /// Errors of a network in the words of the layer below, for denoisers made of one.
    fn from(error: Error) -> Self {
        match error {
            Error::Core(error) => error,
            Error::Torch(error) => Self::Torch(error),
            Error::Shape { what, expected, found } => Self::Shape { what, expected, found },
            Error::Invalid { what, found, expected } => Self::Invalid { what, found, expected },
            other => Self::Condition(other.to_string()),
        }
    }
}
