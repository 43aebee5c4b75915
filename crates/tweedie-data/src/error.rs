//! What can go wrong with data.

use std::path::{Path, PathBuf};

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A file that is not what it should be, or a setting that makes no sense.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// libtorch refused.
    #[error(transparent)]
    Torch(#[from] tweedie_torch::Error),
    /// The system refused to read a file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file's contents are wrong.
    #[error("{}: {problem}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// None of the files of a data set is there.
    #[error("{}: no {what}; looked for {looked_for}", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
        /// The names that would have done.
        looked_for: String,
    },
    /// More files of a data set are broken than may be.
    #[error(
        "{}: {problem}; {broken} of {count} images are broken, expected at most {allowed}",
        path.display()
    )]
    TooManyBroken {
        /// The last of them.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// How many were found so far.
        broken: usize,
        /// How many may be.
        allowed: usize,
        /// How many images the set has.
        count: usize,
    },
    /// An argument makes no sense.
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
    pub(crate) fn invalid(
        what: &'static str,
        found: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Error::Invalid { what, found: found.to_string(), expected: expected.into() }
    }

    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
        move |source| Error::File { path: path.to_path_buf(), source }
    }

    pub(crate) fn broken(path: &Path, problem: impl Into<String>) -> Self {
        Error::Broken { path: path.to_path_buf(), problem: problem.into() }
    }
}
