//! `tweedie report`.

use crate::commands::sample::guidance_scale;
use crate::commands::{sampler, threads};
use crate::files::{OutputFile, extension};
use crate::output::{self, Progress, usage};
use crate::report;
use crate::run::{self, Request, Run};
use anyhow::Result;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;
use tweedie::samplers::SamplerSpec;
use tweedie::train::Which;

/// What may be typed.
#[derive(clap::Args, Debug)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Args {
    /// The folder of a run
    run: PathBuf,
    /// The page; one that is there is replaced once the new one is whole
    /// [default: report.html in the folder of the run]
    #[arg(short)]
    output: Option<PathBuf>,
    /// Decides the noise: sample k is the same in every batch
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Steps of the sampler [default: the recipe's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    steps: Option<u32>,
    /// A name that `tweedie samplers` lists [default: the recipe's]
    #[arg(long, value_parser = sampler)]
    sampler: Option<SamplerSpec>,
    /// uncond + scale·(cond − uncond): 1 is off [default: the recipe's]
    #[arg(long, allow_hyphen_values = true, value_parser = guidance_scale)]
    guidance_scale: Option<f64>,
    /// Threads of libtorch [default: the recipe's, or all]
    #[arg(long, value_parser = threads)]
    threads: Option<usize>,
    /// A last line with what was written where, what was left out, and seconds by phase
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(crate) fn run(args: Args) -> Result<()> {
    let start = Instant::now();
    run::check_exists(&args.run)?;
    let output = args.output.clone().unwrap_or_else(|| args.run.join("report.html"));
    if !["html", "htm"].contains(&extension(&output).as_str()) {
        return Err(usage(format!("{}: expected a name ending in .html", output.display())));
    }
    let run = Run::open(&args.run, args.threads, Which::Last)?;
    let request = request(&args, &run)?;
    request.grid(&run.recipe).map_err(output::as_usage)?;
    let file = OutputFile::create(&output)?;
    let loaded = start.elapsed().as_secs_f64();

    let mut progress = Progress::new("sampling", 0, 0);
    let report = report::make(&args.run, &run, &request, progress.steps())?;
    let made = progress.finish();
    file.write(report.html.as_bytes())?;
    for (section, why) in &report.left_out {
        output::note(format_args!("left out: {section}: {why}"));
    }
    if args.json {
        let left_out: serde_json::Map<_, _> =
            report.left_out.iter().map(|(s, why)| ((*s).to_owned(), json!(why))).collect();
        return output::json(&json!({
            "output": output, "bytes": report.html.len(), "trained_steps": run.step,
            "samples": request.count, "sampler": request.sampler, "steps": request.steps,
            "seed": request.seed, "guidance_scale": request.guidance_scale, "left_out": left_out,
            "seconds": { "load": loaded, "make": made },
        }));
    }
    output::print(output.display())
}

fn request(args: &Args, run: &Run) -> Result<Request> {
    let usual = Request::usual(run)?;
    if let (Some(scale), None) = (args.guidance_scale, &usual.classes) {
        return Err(usage(format!(
            "--guidance-scale {scale}: the run was trained without classes"
        )));
    }
    report::request(
        run,
        Request {
            seed: args.seed,
            steps: args.steps.map_or(usual.steps, |s| s as usize),
            sampler: args.sampler.unwrap_or(usual.sampler),
            guidance_scale: args.guidance_scale.unwrap_or(usual.guidance_scale),
            ..usual
        },
    )
}
