//! `tweedie plot`.

use crate::files::OutputFile;
use crate::output::{self, Progress, usage};
use crate::picture::{beside, curve, png};
use crate::run::{self, Request, Run};
use crate::show;
use anyhow::Result;
use std::path::PathBuf;
use tweedie::train::{Which, run_dir};

/// What may be typed.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The folder of a run
    run: PathBuf,
    /// The picture [default: plot.png in the folder of the run]
    #[arg(short)]
    output: Option<PathBuf>,
    /// A last line with what was written where
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(crate) fn run(args: Args) -> Result<()> {
    run::check_exists(&args.run)?;
    let output = args.output.unwrap_or_else(|| args.run.join("plot.png"));
    if crate::files::extension(&output) != "png" {
        return Err(usage(format!("{}: expected a name ending in .png", output.display())));
    }
    let file = OutputFile::create(&output)?;
    let losses = run_dir::read_log(&args.run)?.series("loss");
    let losses: Vec<_> =
        losses.into_iter().filter_map(|(step, loss)| Some((step, loss?))).collect();
    let run = Run::open(&args.run, None, Which::Last)?;
    let request = Request::usual(&run)?;
    let mut progress = Progress::new("sampling", 0, 0);
    let samples = run.sample(&request, progress.steps())?;
    progress.finish();
    let samples = show::picture(&run, &request, &samples)?;
    let title = format!("loss of {} steps", run.step);
    let loss = curve::loss(&title, &losses, (640, samples.height().clamp(420, 640)))?;
    file.write(&png(&beside(&loss, &samples))?)?;
    if args.json {
        return output::json(&serde_json::json!({ "output": output, "steps": run.step }));
    }
    output::print(output.display())
}
