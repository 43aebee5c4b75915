//! Models that are named by their place on the Hugging Face Hub.

use anyhow::Result;
use std::path::{Path, PathBuf};
use tweedie::sd::files::OpenOptions;

/// The folder or file of a model; one that is named `hub:owner/name[@revision]` is fetched.
pub(super) fn located(model: &Path, options: &OpenOptions) -> Result<PathBuf> {
    match model.to_str().and_then(|model| model.strip_prefix("hub:")) {
        Some(name) => fetched(name, options),
        None => Ok(model.to_path_buf()),
    }
}

#[cfg(feature = "hf-hub")]
fn fetched(name: &str, options: &OpenOptions) -> Result<PathBuf> {
    use crate::output::Progress;
    use tweedie::sd::files::hub::Hub;

    let (repo, revision) = match name.split_once('@') {
        Some((repo, revision)) => (repo, Some(revision)),
        None => (name, None),
    };
    let mut progress = Progress::new("fetching", 0, 0);
    let found = Hub::from_env().fetch(repo, revision, options, &mut |fetching| {
        progress.update(fetching.done, fetching.bytes, || fetching.file.to_owned());
    });
    progress.finish();
    found.map_err(super::fault)
}

#[cfg(not(feature = "hf-hub"))]
fn fetched(name: &str, _options: &OpenOptions) -> Result<PathBuf> {
    Err(crate::output::usage(format!(
        "hub:{name}: this program was built without the Hugging Face Hub; with it: \
         cargo build --release -p tweedie-cli --features hf-hub"
    )))
}
