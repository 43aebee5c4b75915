//! The folder of a run: recipe, metrics, checkpoints, samples; one process at a time.

use crate::{Error, Result, StepReport, checkpoint};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use tweedie_torch::weights;

/// The folder of a run, locked for this process while the value lives.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    metrics: File,
    /// Closing it releases the lock.
    _lock: File,
}

/// A line of `metrics.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Steps taken.
    pub step: u64,
    /// The loss of that step.
    pub loss: f64,
    /// Its learning rate.
    pub lr: f64,
    /// The norm of its gradients.
    pub grad_norm: Option<f64>,
    /// Data a second.
    pub samples_per_second: f64,
}

impl From<&StepReport> for Metrics {
    fn from(report: &StepReport) -> Self {
        let &StepReport { step, loss, lr, grad_norm, samples_per_second, .. } = report;
        Metrics { step, loss, lr, grad_norm, samples_per_second }
    }
}

impl RunDir {
    /// Makes the folder if need be and locks it.
    ///
    /// # Errors
    /// If it cannot be made or written, or another process has it ([`Error::Locked`]).
    pub fn open(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).map_err(Error::file(path))?;
        let lock_path = path.join(".lock");
        let lock = File::create(&lock_path).map_err(Error::file(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked(path.to_path_buf())),
            Err(TryLockError::Error(source)) => return Err(Error::file(&lock_path)(source)),
        }
        let metrics_path = metrics_path(path);
        let metrics = OpenOptions::new().create(true).append(true).open(&metrics_path);
        let metrics = metrics.map_err(Error::file(&metrics_path))?;
        Ok(RunDir { path: path.to_path_buf(), metrics, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where checkpoints are.
    pub fn checkpoints(&self) -> PathBuf {
        checkpoints_path(&self.path)
    }

    /// Adds a line to `metrics.jsonl`.
    pub fn log(&mut self, metrics: &Metrics) -> Result<()> {
        let mut line = serde_json::to_vec(metrics).unwrap_or_default();
        line.push(b'\n');
        self.metrics.write_all(&line).map_err(Error::file(&metrics_path(&self.path)))
    }

    /// Drops the metrics of steps after `step`, which will be taken again.
    pub fn rewind_metrics(&mut self, step: u64) -> Result<()> {
        let path = metrics_path(&self.path);
        let kept = read_metrics(&self.path)?.into_iter().filter(|m| m.step <= step);
        let lines: Vec<String> = kept.filter_map(|m| serde_json::to_string(&m).ok()).collect();
        weights::atomically(&path, |file| {
            lines.iter().try_for_each(|line| writeln!(file, "{line}"))
        })?;
        self.metrics = OpenOptions::new().append(true).open(&path).map_err(Error::file(&path))?;
        Ok(())
    }

    /// Removes what a killed process left half-written.
    pub fn sweep(&self) -> Result<()> {
        let folder = self.checkpoints();
        let Ok(entries) = fs::read_dir(&folder) else { return Ok(()) };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(checkpoint::UNFINISHED) {
                fs::remove_dir_all(entry.path()).map_err(Error::file(&entry.path()))?;
            }
        }
        Ok(())
    }
}

/// Where the checkpoints of the run in `run` are.
pub fn checkpoints_path(run: &Path) -> PathBuf {
    run.join("checkpoints")
}

fn metrics_path(run: &Path) -> PathBuf {
    run.join("metrics.jsonl")
}

/// The newest whole checkpoint of the run in `run`.
pub fn latest_checkpoint(run: &Path) -> Result<(u64, PathBuf)> {
    let checkpoint::Listing { mut whole, broken } = checkpoint::list(&checkpoints_path(run))?;
    whole.pop().ok_or_else(|| Error::NoCheckpoint { path: run.to_path_buf(), broken })
}

/// The metrics of the run in `run`. Lines that are none, such as a last one that was cut off, are
/// passed over.
pub fn read_metrics(run: &Path) -> Result<Vec<Metrics>> {
    let path = metrics_path(run);
    let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(step: u64) -> Metrics {
        Metrics { step, loss: 0.1, lr: 1e-3, grad_norm: None, samples_per_second: 1.0 }
    }

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunDir::open(folder.path()).unwrap();
        let error = RunDir::open(folder.path()).unwrap_err();
        assert!(matches!(error, Error::Locked(_)), "{error}");
        drop(first);
        assert!(RunDir::open(folder.path()).is_ok());
    }

    #[test]
    fn metrics_go_on_after_a_cut() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = RunDir::open(folder.path()).unwrap();
        for step in 1..=5 {
            run.log(&metrics(step)).unwrap();
        }
        run.metrics.write_all(b"{\"step\": 6, \"lo").unwrap();
        run.rewind_metrics(3).unwrap();
        run.log(&metrics(4)).unwrap();
        let steps: Vec<u64> = read_metrics(folder.path()).unwrap().iter().map(|m| m.step).collect();
        assert_eq!(steps, [1, 2, 3, 4]);
    }

    #[test]
    fn a_folder_without_checkpoints_says_so() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("checkpoints/step-000100")).unwrap();
        fs::create_dir_all(folder.path().join("checkpoints/.unfinished-x")).unwrap();
        let error = latest_checkpoint(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("no whole checkpoint: .unfinished-x was never finished; and 1 more"),
            "{error}"
        );
        RunDir::open(folder.path()).unwrap().sweep().unwrap();
        assert!(!folder.path().join("checkpoints/.unfinished-x").exists());
    }
}
