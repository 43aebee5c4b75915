//! What can go wrong when samples are measured.

use std::path::{Path, PathBuf};

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A set that cannot be measured, a file that is not what it should be, or libtorch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// libtorch, or the bridge to it, refused.
    #[error(transparent)]
    Torch(#[from] tweedie_torch::Error),
    /// The data set refused.
    #[error(transparent)]
    Data(#[from] tweedie_data::Error),
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
    /// A set is too small for what is asked of it.
    #[error("{what}: {found} samples, expected at least {needed}")]
    TooFew {
        /// What is computed.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// A number that came or was computed is not finite.
    #[error("{0} has a value that is not finite")]
    NotFinite(&'static str),
    /// A file of this crate's own does not hold what it should.
    #[error("{}: {problem}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        Error::Torch(error.into())
    }
}

impl Error {
    /// An [`Error::Invalid`] from anything that prints.
    pub(crate) fn invalid(
        what: &'static str,
        found: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Error::Invalid { what, found: found.to_string(), expected: expected.into() }
    }

    /// An [`Error::Shape`] of `found`.
    pub(crate) fn shape(what: &'static str, expected: impl Into<String>, found: &[i64]) -> Self {
        Error::Shape { what, expected: expected.into(), found: found.to_vec() }
    }

    pub(crate) fn broken(path: &Path, problem: impl Into<String>) -> Self {
        Error::Broken { path: path.to_path_buf(), problem: problem.into() }
    }
}
