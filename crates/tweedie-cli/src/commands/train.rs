//! `tweedie train`.

use crate::files::UNNAMED;
use crate::output::{self, usage};
use crate::recipe::Recipe;
use crate::training::{Session, Stopped};
use anyhow::{Context, Result};
use serde_json::json;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What may be typed.
#[derive(clap::Args, Debug)]
#[command(override_usage = "tweedie train <RECIPE.toml|NAME> [KEY=VALUE]... [--run DIR]\n       \
    tweedie train --resume DIR [KEY=VALUE]...")]
pub(crate) struct Args {
    /// RECIPE.toml, or the name of a recipe of `tweedie recipes`; then key=value, over its values
    #[arg(value_name = "RECIPE|KEY=VALUE", required_unless_present = "resume")]
    words: Vec<String>,
    /// Where the run goes [default: runs/NAME-N]
    #[arg(long, conflicts_with = "resume")]
    run: Option<PathBuf>,
    /// Go on with the run in this folder
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// A last line with what was written where, and seconds by phase
    #[arg(long)]
    json: bool,
}

/// Of a resumed run only these may be changed: all else would make it another run.
const CHANGEABLE: [&str; 9] = [
    "steps",
    "checkpoint_every",
    "preview_every",
    "validate_every",
    "threads",
    "dtype",
    "tensorboard",
    "checkpoints.keep_last",
    "checkpoints.keep_best",
];

/// Runs it.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let session = match &args.resume {
        Some(folder) => resume(folder, &args.words)?,
        None => begin(&args)?,
    };
    let report = session.train()?;
    if args.json {
        output::json(&json!({
            "run": report.run, "checkpoint": report.checkpoint, "preview": report.preview,
            "step": report.step, "loss": report.loss, "validation": report.validation,
            "interrupted": report.stopped == Stopped::Early, "seconds": report.seconds,
        }))?;
    } else {
        output::print(report.run.display())?;
    }
    Ok(match report.stopped {
        Stopped::AtEnd => ExitCode::SUCCESS,
        Stopped::Early => {
            let run = report.run.display();
            output::note(format_args!(
                "stopped at step {}: tweedie train --resume {run}",
                report.step
            ));
            // As a shell reports a program that Ctrl-C ended.
            ExitCode::from(130)
        }
    })
}

fn begin(args: &Args) -> Result<Session> {
    let [name, typed @ ..] = &args.words[..] else {
        return Err(usage("the recipe is missing: a file, or a name that `tweedie recipes` lists"));
    };
    let recipe = Recipe::resolve(name, typed)?;
    match &args.run {
        Some(run) => {
            check_free(run)?;
            Session::begin(recipe, || Ok(run.clone()))
        }
        None => Session::begin(recipe, || free_folder(Path::new("runs"), name)),
    }
}

fn check_free(run: &Path) -> Result<()> {
    let shown = run.display();
    if run.join("recipe.toml").exists() {
        anyhow::bail!("{shown} holds a run already: --resume {shown} goes on with it");
    }
    if run.read_dir().is_ok_and(|entries| entries.flatten().any(|e| !ours(&e.file_name()))) {
        anyhow::bail!("{shown} holds other files: name a new folder");
    }
    Ok(())
}

/// What a run that was killed before it began leaves.
fn ours(name: &std::ffi::OsStr) -> bool {
    let known = [".lock", "checkpoints", "metrics.jsonl", "samples", "ema", "tensorboard"];
    name.to_string_lossy().starts_with(UNNAMED) || known.iter().any(|known| name == *known)
}

fn resume(folder: &Path, typed: &[String]) -> Result<Session> {
    for setting in typed {
        let key = setting.split('=').next().unwrap_or_default().trim();
        if setting.contains('=') && !CHANGEABLE.contains(&key) {
            let keys = CHANGEABLE.join(", ");
            return Err(usage(format!(
                "`{key}` cannot change in a run that goes on; these can: {keys}"
            )));
        }
    }
    Session::resume(Recipe::of_run(folder, typed)?, folder)
}

/// The first `NAME-N` that is not there, made so that no other process takes it too.
fn free_folder(runs: &Path, recipe: &str) -> Result<PathBuf> {
    let name = Path::new(recipe).file_stem().map_or("run".into(), |n| n.to_string_lossy());
    let fail = |path: &Path| format!("cannot make {}", path.display());
    std::fs::create_dir_all(runs).with_context(|| fail(runs))?;
    for n in 1..u32::MAX {
        let path = runs.join(format!("{name}-{n}"));
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).with_context(|| fail(&path)),
        }
    }
    anyhow::bail!("no free name in {}", runs.display())
}
