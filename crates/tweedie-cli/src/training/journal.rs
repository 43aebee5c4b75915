//! What a run tells on its way: `metrics.jsonl`, and TensorBoard's files if they are wanted.

use anyhow::Result;
use std::path::Path;
use tweedie::train::metrics::{Event, Metrics};
use tweedie::train::tensorboard::EventFile;
use tweedie::train::{RunDir, StepReport, ValidationReport};

/// The folder of a run, and what is written into it line by line.
pub(super) struct Journal {
    pub(super) folder: RunDir,
    events: Option<EventFile>,
}

impl Journal {
    /// Begins at `step`, or goes on from there.
    pub(super) fn new(folder: RunDir, tensorboard: bool, step: u64) -> Result<Self> {
        let events = match tensorboard {
            true => Some(EventFile::create(&folder.path().join("tensorboard"), step)?),
            false => None,
        };
        Ok(Journal { folder, events })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The run begins, or goes on.
    pub(super) fn start(&mut self, step: u64, compute: &str, device: &str) -> Result<()> {
        let (compute, device) = (compute.to_owned(), device.to_owned());
        Ok(self.folder.log_event(&Event::Start { step, compute, device })?)
    }

    /// A training step.
    pub(super) fn step(&mut self, report: &StepReport) -> Result<()> {
        self.folder.log(&Metrics::from(report))?;
        if let Some(events) = &mut self.events {
            let values = [
                ("train/loss", Some(report.loss)),
                ("train/lr", Some(report.lr)),
                ("train/grad_norm", report.grad_norm),
                ("train/samples_per_second", Some(report.samples_per_second)),
                ("train/loss_scale", report.loss_scale.map(|l| l.scale)),
            ];
            let given = values.into_iter().filter_map(|(tag, value)| Some((tag, value?)));
            events.scalars(report.step, given)?;
        }
        Ok(())
    }

    /// A validation.
    pub(super) fn validation(&mut self, report: &ValidationReport) -> Result<()> {
        if let Some(events) = &mut self.events {
            let tags: Vec<String> = report
                .levels
                .iter()
                .map(|l| format!("validation/sigma_{:.4}", l.sigma / l.alpha))
                .collect();
            let levels = tags.iter().zip(&report.levels).map(|(tag, l)| (tag.as_str(), l.loss));
            events.scalars(report.step, levels.chain([("validation/loss", report.loss)]))?;
        }
        Ok(self.folder.log_event(&Event::Validation(report.clone()))?)
    }
}
