//! A training run in its folder: steps, metrics, checkpoints, previews, Ctrl-C.

mod build;
mod journal;

use crate::files::OutputFile;
use crate::memory;
use crate::output::{self, Progress};
use crate::picture;
use crate::recipe::{Recipe, data};
use crate::run::{Interrupted, Request, Run};
use crate::show;
use anyhow::{Context, Result, anyhow};
use build::{Built, build};
use journal::Journal;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tweedie::train::ema::snapshots;
use tweedie::train::{
    Error, Precision, RunDir, StepReport, Trainer, Validation, checkpoint, run_dir,
};

/// A run that is ready to go.
pub(crate) struct Session {
    recipe: Recipe,
    trainer: Trainer,
    journal: Journal,
    view: data::View,
    validation: Option<Validation>,
    seconds: Seconds,
    /// Whether a signal has come.
    stop: Arc<AtomicBool>,
}

/// Why a run ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// All steps are taken.
    AtEnd,
    /// Ctrl-C, or a signal to end.
    Early,
}

/// Seconds by phase.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Seconds {
    load: f64,
    train: f64,
    checkpoint: f64,
    validate: f64,
    preview: f64,
}

/// What there is to tell of a run.
pub(crate) struct Report {
    pub(crate) run: PathBuf,
    pub(crate) checkpoint: PathBuf,
    pub(crate) preview: Option<PathBuf>,
    pub(crate) step: u64,
    pub(crate) loss: Option<f64>,
    pub(crate) validation: Option<f64>,
    pub(crate) stopped: Stopped,
    pub(crate) seconds: Seconds,
}

impl Session {
    /// A new run. Its `recipe.toml` is written after its first checkpoint, so that whatever has a
    /// recipe can be gone on with.
    /// The folder is asked for last, when all else is known to work.
    pub(crate) fn begin(recipe: Recipe, path: impl FnOnce() -> Result<PathBuf>) -> Result<Self> {
        let start = Instant::now();
        let built = build(&recipe)?;
        let path = path()?;
        let folder = RunDir::open(&path)?;
        // Another process may have begun and ended here while this one loaded its data.
        anyhow::ensure!(
            !path.join("recipe.toml").exists(),
            "{0} holds a run already: --resume {0} goes on with it",
            path.display()
        );
        checkpoint::save(&built.trainer, &folder.checkpoints())?;
        let file = OutputFile::create(&path.join("recipe.toml"))?;
        file.write(recipe.to_toml()?.as_bytes())?;
        Self::start(recipe, built, folder, start)
    }

    /// A run that goes on from its newest whole checkpoint.
    pub(crate) fn resume(recipe: Recipe, path: &Path) -> Result<Self> {
        let start = Instant::now();
        // First of all the lock: nothing may move under our feet.
        let mut folder = RunDir::open(path)?;
        let mut built = build(&recipe)?;
        let (step, newest) = run_dir::latest_checkpoint(path)?;
        checkpoint::resume(&mut built.trainer, &newest)?;
        folder.sweep()?;
        folder.rewind_metrics(step)?;
        let (now, before) = (compute(&built.trainer), checkpoint::state(&newest)?.compute);
        if let Some(before) = before.filter(|before| before != now) {
            output::note(format_args!(
                "the run computed in {before} until step {step} and goes on in {now}: \
                 it will not equal one that was never stopped (dtype={before} keeps it)"
            ));
        }
        Self::start(recipe, built, folder, start)
    }

    fn start(recipe: Recipe, built: Built, folder: RunDir, start: Instant) -> Result<Self> {
        let Built { trainer, view, validation } = built;
        let mut journal = Journal::new(folder, recipe.tensorboard, trainer.step())?;
        let compute = compute(&trainer);
        journal.start(trainer.step(), compute, &recipe.device)?;
        if recipe.dtype != Precision::F32 {
            output::note(format_args!("the network computes in {compute}"));
        }
        let seconds = Seconds { load: start.elapsed().as_secs_f64(), ..Default::default() };
        let stop = stop_on_signal()?;
        Ok(Session { recipe, trainer, journal, view, validation, seconds, stop })
    }

    /// Trains to the end, or until a signal.
    pub(crate) fn train(mut self) -> Result<Report> {
        memory::say_nothing();
        let (first, steps) = (self.trainer.step(), self.recipe.steps);
        let mut progress = Progress::new("training", first, steps);
        let mut state = State { saved: Some(first), ..Default::default() };
        let mut speed = Speed::new(first);
        // A signal may have broken off the validation of the step that the run goes on from.
        if first > 0
            && every(self.recipe.validate_every, first)
            && self.trainer.validated().is_none()
        {
            self.validate(&mut state)?;
        }
        while let Some(report) = self.trainer.next() {
            let report = report.map_err(|error| self.with_checkpoint(error))?;
            state.last = Some(report);
            if self.logs(report.step) {
                self.journal.step(&report)?;
            }
            progress.update(report.step, steps, || speed.message(&report));
            self.between_steps(&mut state, &progress)?;
            if self.is_stopped() {
                break;
            }
        }
        self.save(&mut state)?;
        if self.recipe.preview_every > 0 && !every(self.recipe.preview_every, self.trainer.step()) {
            self.preview(&mut state, &progress)?;
        }
        let Seconds { checkpoint, validate, preview, .. } = self.seconds;
        self.seconds.train = progress.finish() - checkpoint - validate - preview;
        Ok(self.report(state))
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What is due after a step.
    fn between_steps(&mut self, state: &mut State, progress: &Progress) -> Result<()> {
        let step = self.trainer.step();
        if every(self.recipe.validate_every, step) {
            self.validate(state)?;
        }
        if every(self.recipe.ema.snapshot_every, step) {
            snapshots::save(&self.trainer, &self.journal.folder.averages())?;
        }
        if every(self.recipe.checkpoint_every, step) {
            self.save(state)?;
        }
        if every(self.recipe.preview_every, step) {
            self.preview(state, progress)?;
        }
        Ok(())
    }

    /// What to go back to after a step that failed.
    fn with_checkpoint(&self, error: Error) -> anyhow::Error {
        match run_dir::latest_checkpoint(self.journal.path()) {
            Ok((_, path)) => anyhow!("{error}; the last good checkpoint is {}", path.display()),
            Err(_) => error.into(),
        }
    }

    fn report(self, state: State) -> Report {
        let step = self.trainer.step();
        Report {
            run: self.journal.path().to_owned(),
            checkpoint: self.journal.folder.checkpoints().join(format!("step-{step:06}")),
            preview: state.preview,
            step,
            loss: state.last.map(|r| r.loss),
            validation: state.validated.map(|(_, loss)| loss),
            stopped: if step >= self.recipe.steps { Stopped::AtEnd } else { Stopped::Early },
            seconds: self.seconds,
        }
    }

    /// About a thousand lines a run.
    fn logs(&self, step: u64) -> bool {
        let steps = self.recipe.steps;
        step == 1 || step == steps || step.is_multiple_of((steps / 1000).max(1))
    }

    fn validate(&mut self, state: &mut State) -> Result<()> {
        let (start, step) = (Instant::now(), self.trainer.step());
        let Some(validation) = &self.validation else { return Ok(()) };
        if state.validated.is_none_or(|(at, _)| at != step) {
            let stop = &self.stop;
            let report = self.trainer.validate(validation, &|| !stop.load(Ordering::Relaxed))?;
            if let Some(report) = report {
                self.journal.validation(&report)?;
                state.validated = Some((step, report.loss));
            }
        }
        self.seconds.validate += start.elapsed().as_secs_f64();
        Ok(())
    }

    fn save(&mut self, state: &mut State) -> Result<()> {
        let step = self.trainer.step();
        if state.saved == Some(step) {
            return Ok(());
        }
        if self.recipe.checkpoints.keep_best {
            self.validate(state)?;
        }
        let start = Instant::now();
        let folder = self.journal.folder.checkpoints();
        if self.recipe.ema.snapshot_every == 0 {
            snapshots::save(&self.trainer, &self.journal.folder.averages())?;
        }
        checkpoint::save(&self.trainer, &folder).map_err(|error| self.with_checkpoint(error))?;
        // The first one was only there so that a killed run could begin again.
        let untrained = folder.join("step-000000");
        if state.saved == Some(0) {
            std::fs::remove_dir_all(&untrained).with_context(|| untrained.display().to_string())?;
        }
        self.recipe.checkpoints.apply(&folder)?;
        state.saved = Some(step);
        self.seconds.checkpoint += start.elapsed().as_secs_f64();
        Ok(())
    }

    fn preview(&mut self, state: &mut State, progress: &Progress) -> Result<()> {
        if self.is_stopped() {
            return Ok(());
        }
        let start = Instant::now();
        let step = self.trainer.step();
        let run = Run {
            recipe: self.recipe.clone(),
            model: self.trainer.averaged()?,
            view: self.view.clone(),
            step,
        };
        let request = Request::usual(&run)?;
        let samples = self.journal.path().join("samples");
        std::fs::create_dir_all(&samples).with_context(|| samples.display().to_string())?;
        let path = samples.join(format!("step-{step:06}.png"));
        let go_on = |_, _| if self.is_stopped() { Err(Interrupted.into()) } else { Ok(()) };
        let sampled = match run.sample(&request, go_on) {
            Err(err) if err.is::<Interrupted>() => return Ok(()),
            sampled => sampled?,
        };
        let picture = show::picture(&run, &request, &sampled)?;
        OutputFile::create(&path)?.write(&picture::png(&picture)?)?;
        progress.say(format_args!("samples at step {step}: {}", path.display()));
        state.preview = Some(path);
        self.seconds.preview += start.elapsed().as_secs_f64();
        Ok(())
    }
}

/// What was done last.
#[derive(Default)]
struct State {
    saved: Option<u64>,
    validated: Option<(u64, f64)>,
    preview: Option<PathBuf>,
    last: Option<StepReport>,
}

struct Speed {
    start: Instant,
    first: u64,
}

impl Speed {
    fn new(first: u64) -> Self {
        Speed { start: Instant::now(), first }
    }

    fn message(&mut self, report: &StepReport) -> String {
        let speed = (report.step - self.first) as f64 / self.start.elapsed().as_secs_f64();
        format!("loss {:.4} · {speed:.0} steps/s", report.loss)
    }
}

fn every(period: u64, step: u64) -> bool {
    period > 0 && step.is_multiple_of(period)
}

/// What the network computes in.
fn compute(trainer: &Trainer) -> &'static str {
    Precision::name(trainer.model().network.compute_kind())
}

/// Set by the first Ctrl-C or signal to end; the second ends the process at once.
fn stop_on_signal() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if heard.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        output::note("stopping: a checkpoint is saved first (again: stop at once)");
    })
    .context("cannot listen to Ctrl-C")?;
    Ok(stop)
}
