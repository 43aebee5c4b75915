//! The folder of a run: recipe, metrics, checkpoints, samples; one process at a time.

use crate::log::Log;
use crate::metrics::{Event, Metrics, Stamp};
use crate::{Error, Result, checkpoint, retention};
use serde::Serialize;
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

    /// Where averages of the weights are stored on the way: [`snapshots`](crate::ema::snapshots).
    pub fn averages(&self) -> PathBuf {
        averages_path(&self.path)
    }

    /// Adds a step to `metrics.jsonl`.
    pub fn log(&mut self, metrics: &Metrics) -> Result<()> {
        self.line(metrics)
    }

    /// Adds anything else to `metrics.jsonl`.
    pub fn log_event(&mut self, event: &Event) -> Result<()> {
        self.line(event)
    }

    fn line(&mut self, value: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(value).unwrap_or_default();
        line.push(b'\n');
        self.metrics.write_all(&line).map_err(Error::file(&metrics_path(&self.path)))
    }

    /// Drops the metrics of steps after `step`, which will be taken again.
    pub fn rewind_metrics(&mut self, step: u64) -> Result<()> {
        let path = metrics_path(&self.path);
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        let is_kept =
            |line: &&str| serde_json::from_str(line).is_ok_and(|stamp: Stamp| stamp.step <= step);
        let kept: Vec<&str> = text.lines().filter(is_kept).collect();
        weights::atomically(&path, |file| {
            kept.iter().try_for_each(|line| writeln!(file, "{line}"))
        })?;
        self.metrics = OpenOptions::new().append(true).open(&path).map_err(Error::file(&path))?;
        Ok(())
    }

    /// Removes what a killed process left half-written.
    pub fn sweep(&self) -> Result<()> {
        for entry in fs::read_dir(self.averages()).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(".tweedie-") {
                fs::remove_file(entry.path()).map_err(Error::file(&entry.path()))?;
            }
        }
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

/// Where the stored averages of the run in `run` are.
pub fn averages_path(run: &Path) -> PathBuf {
    run.join("ema")
}

fn metrics_path(run: &Path) -> PathBuf {
    run.join("metrics.jsonl")
}

/// The newest whole checkpoint of the run in `run`.
pub fn latest_checkpoint(run: &Path) -> Result<(u64, PathBuf)> {
    let checkpoint::Listing { mut whole, broken } = checkpoint::list(&checkpoints_path(run))?;
    whole.pop().ok_or_else(|| Error::NoCheckpoint { path: run.to_path_buf(), broken })
}

/// Which checkpoint of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// The newest whole one.
    #[default]
    Last,
    /// The one with the least validation loss of those that are there.
    Best,
    /// That of a step.
    Step(u64),
}

impl std::str::FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "last" => Ok(Which::Last),
            "best" => Ok(Which::Best),
            step => {
                step.parse().map(Which::Step).map_err(|_| "expected best, last or a step".into())
            }
        }
    }
}

/// A whole checkpoint of the run in `run`: its step and place.
///
/// # Errors
/// If there is no such one; the message says which there are.
pub fn find_checkpoint(run: &Path, which: Which) -> Result<(u64, PathBuf)> {
    let last = latest_checkpoint(run)?;
    let missing = |wanted: String| Error::NoSuchCheckpoint { path: run.to_path_buf(), wanted };
    match which {
        Which::Last => Ok(last),
        Which::Best => match retention::best(&checkpoints_path(run))? {
            Some((step, _, path)) => Ok((step, path)),
            None => Err(missing("best checkpoint: none was validated (validate_every)".to_owned())),
        },
        Which::Step(step) => {
            let mut whole = checkpoint::list(&checkpoints_path(run))?.whole;
            match whole.iter().position(|(of, _)| *of == step) {
                Some(place) => Ok(whole.swap_remove(place)),
                None => {
                    let there: Vec<String> = whole.iter().map(|(of, _)| of.to_string()).collect();
                    let there = there.join(", ");
                    Err(missing(format!("checkpoint of step {step}; there are {there}")))
                }
            }
        }
    }
}

/// Everything that was logged in the run in `run`, to be read by its names. Lines that are none,
/// such as a last one that was cut off, are passed over.
pub fn read_log(run: &Path) -> Result<Log> {
    Log::read(&metrics_path(run))
}

/// The steps in the metrics of the run in `run`.
pub fn read_metrics(run: &Path) -> Result<Vec<Metrics>> {
    Ok(read_log(run)?.typed())
}

/// What else happened in the run in `run`.
pub fn read_events(run: &Path) -> Result<Vec<Event>> {
    Ok(read_log(run)?.typed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(step: u64) -> Metrics {
        let (grad_norm, loss_scale, skipped) = (None, None, None);
        let (loss, lr, samples_per_second) = (0.1, 1e-3, 1.0);
        Metrics { step, loss, lr, grad_norm, samples_per_second, loss_scale, skipped }
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
        let loss = crate::LevelLoss { alpha: 1.0, sigma: 0.1, loss: 0.25 };
        for step in [2, 4] {
            let levels = vec![loss];
            let report = crate::ValidationReport { step, loss: 0.25, levels };
            run.log_event(&Event::Validation(report)).unwrap();
        }
        run.rewind_metrics(3).unwrap();
        run.log(&metrics(4)).unwrap();
        assert!(matches!(
            &read_events(folder.path()).unwrap()[..],
            [Event::Validation(report)] if report.step == 2 && report.levels == [loss]
        ));
        let steps: Vec<u64> = read_metrics(folder.path()).unwrap().iter().map(|m| m.step).collect();
        assert_eq!(steps, [1, 2, 3, 4]);
    }

    #[test]
    fn checkpoints_are_asked_for_by_words() {
        assert_eq!("last".parse(), Ok(Which::Last));
        assert_eq!("best".parse(), Ok(Which::Best));
        assert_eq!("0020".parse(), Ok(Which::Step(20)));
        for text in ["", "-1", "first", "1.5"] {
            assert!(text.parse::<Which>().unwrap_err().contains("best, last or a step"));
        }
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
