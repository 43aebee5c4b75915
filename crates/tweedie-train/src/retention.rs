//! Which checkpoints stay.

use crate::checkpoint::{self, Listing, UNFINISHED};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Which checkpoints stay when a new one is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// So many of the newest; 0 keeps all.
    pub keep_last: usize,
    /// Besides, the one with the least validation loss.
    pub keep_best: bool,
}

/// The whole checkpoint of `folder` with the least validation loss, if one was validated: its step,
/// loss and place. Of equal ones the oldest.
pub fn best(folder: &Path) -> Result<Option<(u64, f64, PathBuf)>> {
    best_of(&checkpoint::list(folder)?.whole)
}

fn best_of(whole: &[(u64, PathBuf)]) -> Result<Option<(u64, f64, PathBuf)>> {
    let mut best: Option<(u64, f64, PathBuf)> = None;
    for (step, path) in whole {
        let loss = checkpoint::state(path)?.validation.filter(|loss| loss.is_finite());
        if let Some(loss) = loss.filter(|loss| best.as_ref().is_none_or(|(_, b, _)| loss < b)) {
            best = Some((*step, loss, path.clone()));
        }
    }
    Ok(best)
}

impl Retention {
    /// Removes the checkpoints of `folder` that need not stay. The newest whole one always stays,
    /// and what is not whole is left alone. Returns the steps of those that went.
    pub fn apply(&self, folder: &Path) -> Result<Vec<u64>> {
        let Listing { whole, .. } = checkpoint::list(folder)?;
        if self.keep_last == 0 || whole.len() <= self.keep_last {
            return Ok(vec![]);
        }
        let best = if self.keep_best { best_of(&whole)? } else { None };
        let mut removed = Vec::new();
        for (step, path) in &whole[..whole.len() - self.keep_last] {
            if best.as_ref().is_none_or(|(best, ..)| best != step) {
                remove(path)?;
                removed.push(*step);
            }
        }
        Ok(removed)
    }
}

/// Removes a checkpoint so that a kill on the way leaves no half of one under its name.
pub(crate) fn remove(checkpoint: &Path) -> Result<()> {
    let name = checkpoint.file_name().unwrap_or_default().to_string_lossy();
    let aside = checkpoint.with_file_name(format!("{UNFINISHED}removed-{name}"));
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(Error::file(&aside))?;
    }
    fs::rename(checkpoint, &aside).map_err(Error::file(checkpoint))?;
    fs::remove_dir_all(&aside).map_err(Error::file(&aside))
}
