//! What can go wrong with a model's settings and its files.

use std::path::PathBuf;

/// The result of everything here that builds, saves or loads.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a model's settings, its weights file, or of the layers below.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A network or a parametrisation refused.
    #[error(transparent)]
    Core(#[from] tweedie_core::Error),
    /// libtorch or a weights file refused.
    #[error(transparent)]
    Torch(#[from] tweedie_torch::Error),
    /// A setting makes no sense.
    #[error("model.{field} is {found}, expected {expected}")]
    Setting {
        /// The name of the setting.
        field: &'static str,
        /// Its value.
        found: String,
        /// What would have been right.
        expected: String,
    },
    /// A class that the model does not have.
    #[error("class {class}: the model has {classes} classes, 0 to {}", classes - 1)]
    Class {
        /// The class that was asked for.
        class: i64,
        /// The number of classes.
        classes: i64,
    },
    /// A class was asked of a model that has none.
    #[error("class {0}: the model was trained without classes")]
    NoClasses(i64),
    /// A weights file does not say what model it is for.
    #[error("{}: it does not say which model it is for ({problem})", path.display())]
    Undescribed {
        /// The file.
        path: PathBuf,
        /// What is missing or cannot be read.
        problem: String,
    },
}

impl Error {
    pub(crate) fn setting(
        field: &'static str,
        found: impl std::fmt::Debug,
        expected: impl Into<String>,
    ) -> Self {
        Error::Setting { field, found: format!("{found:?}"), expected: expected.into() }
    }
}
