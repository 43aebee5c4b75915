//! `cargo xtask data`: data sets that are too large for the repository.

mod debian;
mod fashion_mnist;
mod idx;
mod source;

use std::path::PathBuf;

use anyhow::Result;

/// The data sets there are.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Set {
    /// 70,000 pictures of clothes, 28×28, in ten classes (30 MB)
    FashionMnist {
        /// A folder, a Debian package or an address with the four .gz files, instead of Debian's
        /// package dataset-fashion-mnist
        #[arg(long, value_name = "DIR|DEB|URL")]
        from: Option<String>,
        /// Where to put them, instead of data/fashion-mnist
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
}

/// Fetches a data set.
///
/// # Errors
/// When it is not to be had, or is not what it should be.
pub(crate) fn run(set: &Set) -> Result<()> {
    match set {
        Set::FashionMnist { from, to } => fashion_mnist::run(from.as_deref(), to.as_deref()),
    }
}
