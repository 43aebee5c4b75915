//! What can go wrong in training.

use std::path::PathBuf;

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of training, or of what training stands on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// libtorch or a weights file.
    #[error(transparent)]
    Torch(#[from] tweedie_torch::Error),
    /// A network or a parametrisation.
    #[error(transparent)]
    Core(#[from] tweedie_core::Error),
    /// The data.
    #[error(transparent)]
    Data(#[from] tweedie_data::Error),
    /// The model or its file.
    #[error(transparent)]
    Model(#[from] tweedie_models::Error),
    /// A setting that makes no sense.
    #[error("{what} is {found}, expected {expected}")]
    Invalid {
        /// Which setting.
        what: &'static str,
        /// Its value.
        found: String,
        /// What would have been right.
        expected: &'static str,
    },
    /// The loss or its gradient is no number any more. The parameters are those of the step before.
    #[error(
        "{} at step {step}: training stopped (a lower lr or clip_norm may help)",
        not_finite(*loss, *grad_norm)
    )]
    NonFinite {
        /// The step that failed, counted from 1.
        step: u64,
        /// What the loss came out as.
        loss: f64,
        /// The norm of its gradients, if it was computed.
        grad_norm: Option<f64>,
    },
    /// A parameter is no number any more: a checkpoint of it would be of no use.
    #[error("{name} is not finite at step {step}: no checkpoint of it is made")]
    Broken {
        /// The step.
        step: u64,
        /// The first such parameter.
        name: String,
    },
    /// There was not enough memory for a step.
    #[error(
        "out of memory with batches of {batch_size}: {said} (lower batch_size, with accumulate \
         for the same step, or compute in bf16)"
    )]
    OutOfMemory {
        /// Samples of the batch.
        batch_size: usize,
        /// What libtorch said, with what it asked the system for.
        said: String,
    },
    /// No power-function averages were stored.
    #[error(
        "{}: no stored averages of the weights (ema.post_hoc and ema.snapshot_every store them)",
        .0.display()
    )]
    NoSnapshots(PathBuf),
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The weights of a checkpoint are damaged, or of another model.
    #[error("{}: {source}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        source: tweedie_torch::Error,
    },
    /// Another process trains in this folder.
    #[error("{}: another process is at work in this run folder", .0.display())]
    Locked(PathBuf),
    /// There is nothing to go on from.
    #[error("{}: no whole checkpoint{}", path.display(), listed(broken))]
    NoCheckpoint {
        /// The run folder.
        path: PathBuf,
        /// What is wrong with each that is not whole.
        broken: Vec<String>,
    },
    /// There are checkpoints, but not the one that was asked for.
    #[error("{}: no {wanted}", path.display())]
    NoSuchCheckpoint {
        /// The run folder.
        path: PathBuf,
        /// What was asked for, and what there is.
        wanted: String,
    },
    /// A file of a run is not what it should be.
    #[error("{}: {problem}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl Error {
    pub(crate) fn invalid(
        what: &'static str,
        found: impl std::fmt::Display,
        expected: &'static str,
    ) -> Self {
        Error::Invalid { what, found: found.to_string(), expected }
    }

    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
        move |source| Error::File { path: path.to_path_buf(), source }
    }
}

fn not_finite(loss: f64, grad_norm: Option<f64>) -> String {
    match grad_norm {
        Some(norm) if loss.is_finite() => format!("the norm of the gradients is {norm}"),
        _ => format!("the loss is {loss}"),
    }
}

/// The first of what is wrong, and how much more there is.
fn listed(broken: &[String]) -> String {
    match broken {
        [] => String::new(),
        [only] => format!(": {only}"),
        [first, rest @ ..] => format!(": {first}; and {} more", rest.len()),
    }
}
