//! A training run in its folder: steps, metrics, checkpoints, previews, Ctrl-C.

use crate::files::OutputFile;
use crate::output::{self, Progress};
use crate::picture;
use crate::recipe::{Recipe, data};
use crate::run::{self, Request, Run};
use crate::show;
use anyhow::{Context, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tweedie::torch::optim::AdamWConfig;
use tweedie::train::{
    Config, LearningRate, Objective, RunDir, StepReport, Trainer, checkpoint, run_dir,
};

/// A run that is ready to go.
pub(crate) struct Session {
    recipe: Recipe,
    trainer: Trainer,
    folder: RunDir,
    view: data::View,
    seconds: Seconds,
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
    preview: f64,
}

/// What there is to tell of a run.
pub(crate) struct Report {
    pub(crate) run: PathBuf,
    pub(crate) checkpoint: PathBuf,
    pub(crate) preview: Option<PathBuf>,
    pub(crate) step: u64,
    pub(crate) loss: Option<f64>,
    pub(crate) stopped: Stopped,
    pub(crate) seconds: Seconds,
}

impl Session {
    /// A new run. Its `recipe.toml` is written after its first checkpoint, so that whatever has a
    /// recipe can be gone on with.
    /// The folder is asked for last, when all else is known to work.
    pub(crate) fn begin(recipe: Recipe, path: impl FnOnce() -> Result<PathBuf>) -> Result<Self> {
        let start = Instant::now();
        let (trainer, view) = trainer(&recipe)?;
        let path = path()?;
        let folder = RunDir::open(&path)?;
        checkpoint::save(&trainer, &folder.checkpoints())?;
        let file = OutputFile::create(&path.join("recipe.toml"))?;
        file.write(recipe.to_toml()?.as_bytes())?;
        let seconds = Seconds { load: start.elapsed().as_secs_f64(), ..Default::default() };
        Ok(Session { recipe, trainer, folder, view, seconds })
    }

    /// A run that goes on from its newest whole checkpoint.
    pub(crate) fn resume(recipe: Recipe, path: &Path) -> Result<Self> {
        let start = Instant::now();
        // First of all the lock: nothing may move under our feet.
        let mut folder = RunDir::open(path)?;
        let (mut trainer, view) = trainer(&recipe)?;
        let (step, newest) = run_dir::latest_checkpoint(path)?;
        checkpoint::resume(&mut trainer, &newest)?;
        folder.sweep()?;
        folder.rewind_metrics(step)?;
        let seconds = Seconds { load: start.elapsed().as_secs_f64(), ..Default::default() };
        Ok(Session { recipe, trainer, folder, view, seconds })
    }

    /// Trains to the end, or until a signal.
    pub(crate) fn train(mut self) -> Result<Report> {
        let stop = stop_on_signal()?;
        let (first, steps) = (self.trainer.step(), self.recipe.steps);
        let mut progress = Progress::new("training", first, steps);
        let mut state = State { saved: Some(first), preview: None, last: None };
        let mut speed = Speed::new(first);
        while let Some(report) = self.trainer.next() {
            let report = report?;
            state.last = Some(report);
            if self.logs(report.step) {
                self.folder.log(&(&report).into())?;
            }
            progress.update(report.step, steps, || speed.message(&report));
            if every(self.recipe.checkpoint_every, report.step) {
                self.save(&mut state)?;
            }
            if every(self.recipe.preview_every, report.step) {
                self.preview(&mut state, &progress)?;
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        self.save(&mut state)?;
        if self.recipe.preview_every > 0 && !every(self.recipe.preview_every, self.trainer.step()) {
            self.preview(&mut state, &progress)?;
        }
        let total = progress.finish();
        self.seconds.train = total - self.seconds.checkpoint - self.seconds.preview;
        Ok(self.report(state))
    }

    fn report(self, state: State) -> Report {
        let step = self.trainer.step();
        Report {
            run: self.folder.path().to_owned(),
            checkpoint: self.folder.checkpoints().join(format!("step-{step:06}")),
            preview: state.preview,
            step,
            loss: state.last.map(|r| r.loss),
            stopped: if step >= self.recipe.steps { Stopped::AtEnd } else { Stopped::Early },
            seconds: self.seconds,
        }
    }

    /// About a thousand lines a run.
    fn logs(&self, step: u64) -> bool {
        let steps = self.recipe.steps;
        step == 1 || step == steps || step.is_multiple_of((steps / 1000).max(1))
    }

    fn save(&mut self, state: &mut State) -> Result<()> {
        let step = self.trainer.step();
        if state.saved == Some(step) {
            return Ok(());
        }
        let start = Instant::now();
        checkpoint::save(&self.trainer, &self.folder.checkpoints())?;
        // The first one was only there so that a killed run could begin again.
        let untrained = self.folder.checkpoints().join("step-000000");
        if state.saved == Some(0) {
            std::fs::remove_dir_all(&untrained).with_context(|| untrained.display().to_string())?;
        }
        state.saved = Some(step);
        self.seconds.checkpoint += start.elapsed().as_secs_f64();
        Ok(())
    }

    fn preview(&mut self, state: &mut State, progress: &Progress) -> Result<()> {
        let start = Instant::now();
        let step = self.trainer.step();
        let run = Run {
            recipe: self.recipe.clone(),
            model: self.trainer.averaged()?,
            view: self.view.clone(),
            step,
        };
        let request = Request::usual(&run)?;
        let samples = self.folder.path().join("samples");
        std::fs::create_dir_all(&samples).with_context(|| samples.display().to_string())?;
        let path = samples.join(format!("step-{step:06}.png"));
        let picture = show::picture(&run, &request, &run.sample(&request, |_, _| {})?)?;
        OutputFile::create(&path)?.write(&picture::png(&picture)?)?;
        progress.say(format_args!("samples at step {step}: {}", path.display()));
        state.preview = Some(path);
        self.seconds.preview += start.elapsed().as_secs_f64();
        Ok(())
    }
}

struct State {
    saved: Option<u64>,
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

/// Everything that a recipe describes.
fn trainer(recipe: &Recipe) -> Result<(Trainer, data::View)> {
    run::start(recipe.threads)?;
    let device = run::device(&recipe.device)?;
    let (loader, view) = recipe.data.loader(&recipe.model, recipe.batch_size, recipe.seed)?;
    let schedule = recipe.schedule.build()?;
    let objective = Objective {
        parametrization: recipe.parametrization,
        weighting: recipe.objective.weighting,
        levels: recipe.objective.levels.build(&schedule)?,
    };
    let network = recipe.model.build(recipe.seed, recipe.dtype.kind(), device)?;
    let trainer = Trainer::new(network, objective, loader, config(recipe))?;
    Ok((trainer, view))
}

fn config(recipe: &Recipe) -> Config {
    let o = &recipe.optimizer;
    Config {
        seed: recipe.seed,
        lr: LearningRate { lr: recipe.lr, warmup_steps: o.warmup_steps, decay: o.decay },
        optimizer: AdamWConfig {
            beta1: o.beta1,
            beta2: o.beta2,
            eps: o.eps,
            weight_decay: o.weight_decay,
        },
        clip_norm: (o.clip_norm > 0.0).then_some(o.clip_norm),
        accumulate: o.accumulate,
        ema_decay: recipe.ema_decay,
        ..Config::new(recipe.steps, recipe.lr)
    }
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
