//! What can go wrong at the border to libtorch.

use std::path::{Path, PathBuf};
use tch::TchError;

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of libtorch, of a weights file, or of an argument.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// libtorch refused; its message is cut to its meaning.
    #[error("libtorch: {0}")]
    Torch(String),
    /// libtorch could not get memory.
    #[error("out of memory: {0}")]
    Memory(String),
    /// A tensor has another shape than it must have.
    #[error("{what} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// Which tensor.
        what: String,
        /// The shape that was asked for.
        expected: Vec<i64>,
        /// The shape that came.
        found: Vec<i64>,
    },
    /// A slice does not hold as many numbers as its shape says.
    #[error("{found} values for shape {shape:?}")]
    Length {
        /// The shape.
        shape: Vec<i64>,
        /// The number of values.
        found: usize,
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
    /// A gradient was asked for that does not exist.
    #[error("no gradient: {0}")]
    Gradient(&'static str),
    /// The system refused to read or write a file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is no safetensors file, or a broken one.
    #[error("{}: not a whole safetensors file: {problem}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong, with a guess of the cause.
        problem: String,
    },
    /// Tensors do not match the parameters that they are for.
    #[error("{0}")]
    Mismatch(Box<crate::weights::Mismatch>),
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

    /// Names the file that the system's answer is about.
    pub fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
        move |source| Error::File { path: path.to_path_buf(), source }
    }

    /// From the message of a C++ exception.
    pub(crate) fn from_message(message: &str) -> Self {
        let first = message.lines().find(|l| !l.trim().is_empty()).unwrap_or("unknown error");
        // Everything from here on is for libtorch's developers.
        let developers = ["Exception raised from", " This could be because the operator"];
        let first = developers.iter().fold(first, |s, d| s.split(d).next().unwrap_or(s)).trim();
        let out_of_memory = [
            "can't allocate memory",
            "not enough memory",
            "out of memory",
            "Storage size calculation overflowed",
        ];
        match out_of_memory.iter().any(|m| message.contains(m)) {
            true => Error::Memory(first.to_owned()),
            false => Error::Torch(first.to_owned()),
        }
    }
}

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        match error {
            TchError::Torch(message) => Error::from_message(&message),
            other => Error::from_message(&other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    #[test]
    fn messages_are_one_line() {
        let two = Tensor::zeros([2], tch::kind::FLOAT_CPU);
        let three = Tensor::zeros([3], tch::kind::FLOAT_CPU);
        let message = Error::from(two.f_add(&three).unwrap_err()).to_string();
        assert!(message.starts_with("libtorch: The size of tensor a (2) must match"), "{message}");
        assert!(!message.contains('\n') && message.len() < 200, "{message}");
    }
}
