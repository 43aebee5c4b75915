//! `tweedie plot`.

use crate::files::OutputFile;
use crate::output::{self, Progress, usage};
use crate::picture::{beside, curve, png};
use crate::run::{self, Request, Run};
use crate::show;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};

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
    let losses = losses(&args.run.join("metrics.jsonl"))?;
    let run = Run::open(&args.run, None)?;
    let request = Request::usual(&run)?;
    let mut progress = Progress::new("sampling", 0, 0);
    let samples =
        run.sample(&request, |done, of| progress.update(done as u64, of as u64, String::new))?;
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

/// (step, loss) of every line that has them.
fn losses(path: &Path) -> Result<Vec<(f64, f64)>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let point = |line: &str| {
        let value: Value = serde_json::from_str(line).ok()?;
        Some((value["step"].as_f64()?, value["loss"].as_f64()?))
    };
    Ok(text.lines().filter_map(point).collect())
}
