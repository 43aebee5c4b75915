//! `tweedie sample`.

use crate::commands::{sampler, threads};
use crate::files::{OutputFile, extension};
use crate::output::{self, Progress, usage};
use crate::picture::{self, animation};
use crate::run::{self, Request, Run, Samples};
use crate::show;
use anyhow::Result;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tweedie::samplers::SamplerSpec;
use tweedie::torch::{tensor, weights};
use tweedie::train::Which;

/// What may be typed.
#[derive(clap::Args, Debug)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Args {
    /// The folder of a run
    run: PathBuf,
    /// Which checkpoint: last, best (of the least validation loss) or a step
    #[arg(long, value_name = "best|last|STEP", default_value = "last", hide_default_value = true)]
    checkpoint: Which,
    /// Number of samples [default: 1000 points or 64 images]
    #[arg(short, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    n: Option<u32>,
    /// Steps of the sampler [default: the recipe's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    steps: Option<u32>,
    /// A name that `tweedie samplers` lists [default: the recipe's]
    #[arg(long, value_parser = sampler)]
    sampler: Option<SamplerSpec>,
    /// A rule for the noise levels: trailing, karras, … [default: the recipe's]
    #[arg(long)]
    grid: Option<String>,
    /// Decides the noise: sample k is the same in every batch
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The class of all samples, by number or name; or "all", a row each
    #[arg(long, allow_hyphen_values = true)]
    class: Option<String>,
    /// uncond + scale·(cond − uncond): 1 is off [default: the recipe's]
    #[arg(long, allow_hyphen_values = true, value_parser = guidance_scale, requires = "class")]
    guidance_scale: Option<f64>,
    /// The width of a power-function average of the weights, relative to the run, made from the
    /// averages that the run stored [default: the average that the recipe names]
    #[arg(long, value_name = "WIDTH")]
    ema_sigma_rel: Option<f64>,
    /// Where they go: .png (a picture), .gif (the way from noise) or .safetensors (the numbers);
    /// a file that is there is replaced once the new one is whole
    /// [default: samples/… in the folder of the run]
    #[arg(short)]
    output: Option<PathBuf>,
    /// Threads of libtorch [default: the recipe's, or all]
    #[arg(long, value_parser = threads)]
    threads: Option<usize>,
    /// A last line with what was written where, and seconds by phase
    #[arg(long)]
    json: bool,
}

/// A guidance scale, as typed.
pub(crate) fn guidance_scale(text: &str) -> Result<f64, String> {
    let scale = text.parse().ok().filter(|s: &f64| s.is_finite());
    scale.ok_or_else(|| "expected a finite number; 1 is no guidance".to_owned())
}

/// Runs it.
pub(crate) fn run(args: Args) -> Result<()> {
    let start = Instant::now();
    let output = args.output.clone().unwrap_or_else(|| default_output(&args));
    let format = extension(&output);
    if !["png", "gif", "safetensors"].contains(&format.as_str()) {
        let shown = output.display();
        return Err(usage(format!(
            "{shown}: expected a name ending in .png, .gif or .safetensors"
        )));
    }
    run::check_exists(&args.run)?;
    let run = match args.ema_sigma_rel {
        Some(sigma_rel) => Run::open_averaged(&args.run, args.threads, args.checkpoint, sigma_rel)?,
        None => Run::open(&args.run, args.threads, args.checkpoint)?,
    };
    let request = request(&args, &run, format == "gif")?;
    request.grid(&run.recipe).map_err(output::as_usage)?;
    if args.output.is_none() {
        std::fs::create_dir_all(args.run.join("samples"))?;
    }
    let file = OutputFile::create(&output)?;
    let loaded = start.elapsed().as_secs_f64();

    let mut progress = Progress::new("sampling", 0, 0);
    let samples = run.sample(&request, progress.steps())?;
    let sampled = progress.finish();

    let writing = Instant::now();
    match format.as_str() {
        "png" => file.write(&picture::png(&show::picture(&run, &request, &samples)?)?)?,
        "gif" => {
            file.write(&animation::gif(&show::frames(&run, &request, &samples)?, show::DELAY_MS)?)?;
        }
        _ => save(&output, &request, &samples)?,
    }
    let seconds = json!({
        "load": loaded, "sample": sampled, "write": writing.elapsed().as_secs_f64(),
    });
    if args.json {
        return output::json(&json!({
            "output": output, "samples": request.count, "sampler": request.sampler,
            "steps": request.steps, "evaluations": samples.evaluations, "seed": request.seed,
            "guidance_scale": request.guidance_scale, "trained_steps": run.step,
            "seconds": seconds,
        }));
    }
    output::print(output.display())
}

fn default_output(args: &Args) -> PathBuf {
    let class = args.class.as_ref().map(|c| format!("-class-{c}")).unwrap_or_default();
    let checkpoint = match args.checkpoint {
        Which::Last => String::new(),
        Which::Best => "-best".to_owned(),
        Which::Step(step) => format!("-step-{step:06}"),
    };
    args.run.join("samples").join(format!("seed-{}{class}{checkpoint}.png", args.seed))
}

fn request(args: &Args, run: &Run, keep_way: bool) -> Result<Request> {
    let defaults = &run.recipe.sample;
    let count = args.n.map_or(run.view.usual_count(), |n| n as usize);
    let classes = args.class.as_deref().map(|text| run.classes(text, count)).transpose()?;
    Ok(Request {
        count,
        steps: args.steps.map_or(defaults.steps, |s| s as usize),
        sampler: args.sampler.unwrap_or(defaults.sampler()?),
        grid: match &args.grid {
            Some(name) => crate::commands::schedule::grid(name)?,
            None => defaults.grid,
        },
        seed: args.seed,
        guidance_scale: args.guidance_scale.unwrap_or(defaults.guidance_scale),
        classes,
        keep_way,
    })
}

/// Writes `samples`, `[n, …]` in f32, and `classes`, `[n]`, if there are any.
fn save(path: &Path, request: &Request, samples: &Samples) -> Result<()> {
    let mut tensors = vec![("samples", tensor::from_f32(&samples.values, &samples.shape)?)];
    if let Some(classes) = &request.classes {
        tensors.push(("classes", tensor::from_i64(classes, &[classes.len() as i64])?));
    }
    let notes = BTreeMap::from([
        ("sampler".to_owned(), serde_json::to_string(&request.sampler)?),
        ("steps".to_owned(), request.steps.to_string()),
        ("seed".to_owned(), request.seed.to_string()),
        ("guidance_scale".to_owned(), request.guidance_scale.to_string()),
    ]);
    Ok(weights::save(path, tensors.iter().map(|(name, t)| (*name, t)), &notes, None)?)
}
