//! `tweedie eval`.

mod against;
mod pictures;
mod samples;

use crate::commands::{sampler, threads};
use crate::files::OutputFile;
use crate::output::{self, Progress, usage};
use crate::run;
use against::Against;
use anyhow::{Context, Result};
use samples::Source;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tweedie::data::Dataset;
use tweedie::eval::inception::Inception;
use tweedie::eval::{Evaluation, Evaluator, METRICS, Sets};
use tweedie::samplers::SamplerSpec;
use tweedie::torch::weights;

/// What may be typed.
#[derive(clap::Args, Debug)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Args {
    /// The folder of a run, a folder of images, or samples in a .npz or .safetensors file
    samples: PathBuf,
    /// What to compare with: digits, fashion-mnist, a folder of images or IDX files, or a .npz file
    /// [default: the data that the run learnt from]
    #[arg(long, value_name = "DATA")]
    against: Option<String>,
    /// Of a run: number of samples, over all classes in turn [default: 1000]
    #[arg(short, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    n: Option<u32>,
    /// Of a run: steps of the sampler [default: the recipe's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    steps: Option<u32>,
    /// Of a run: a name that `tweedie samplers` lists [default: the recipe's]
    #[arg(long, value_parser = sampler)]
    sampler: Option<SamplerSpec>,
    /// Of a run: uncond + scale·(cond − uncond), 1 is off [default: the recipe's]
    #[arg(long, allow_hyphen_values = true, value_parser = super::sample::guidance_scale)]
    guidance_scale: Option<f64>,
    /// Of a run: decides the noise [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Weights of Inception v3 as safetensors, for frechet_inception and kernel_inception
    #[arg(long, value_name = "FILE")]
    inception: Option<PathBuf>,
    /// Where classifiers and statistics are kept [default: tweedie in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Where all that was found goes, with settings and nearest images
    /// [default: eval.json in the folder of the run]
    #[arg(short)]
    output: Option<PathBuf>,
    /// cpu, cuda or cuda:N [default: the recipe's, or cpu]
    #[arg(long)]
    device: Option<String>,
    /// Threads of libtorch [default: the recipe's, or all]
    #[arg(long, value_parser = threads)]
    threads: Option<usize>,
    /// One object, name of a metric to number
    #[arg(long)]
    json: bool,
}

/// Samples whose nearest images are written down.
const SHOWN: usize = 100;

/// Runs it.
pub(crate) fn run(args: Args) -> Result<()> {
    let source = Source::of(&args)?;
    let against = match (&args.against, &source) {
        (Some(name), _) => {
            run::start(args.threads)?;
            Against::named(name)?
        }
        (None, Source::Run(run)) => Against::of_run(run)?,
        (None, _) => {
            let message = "--against DATA says what to compare with: digits, a folder, a .npz file";
            return Err(usage(message));
        }
    };
    let output = args.output.clone().or_else(|| source.usual_output());
    let file = output.as_deref().map(OutputFile::create).transpose()?;
    let device = run::device(args.device.as_deref().unwrap_or(source.device()))?;
    let evaluator = Evaluator {
        inception: args.inception.as_deref().map(|path| inception(path, device)).transpose()?,
        cache: cache(args.cache.clone())?,
        ..Evaluator::default()
    };
    let (samples, how) = source.samples(&args, &against)?;
    let (samples, data) = (samples.to_device(device)?, against.train.to_device(device)?);
    let test = against.test.as_ref().map(|test| test.to_device(device)).transpose()?;
    let sets = Sets { samples: &samples, data: &data, test: test.as_ref() };
    let found = measure(&evaluator, &sets)?;
    for note in &found.notes {
        output::note(note);
    }
    if let Some(file) = file {
        let whole = written(&evaluator, &sets, &against, &how, &found);
        file.write(format!("{whole:#}\n").as_bytes())?;
    }
    show(&found.metrics, args.json)
}

fn inception(path: &Path, device: tch::Device) -> Result<Inception> {
    Inception::load(path, device).map_err(|err| output::naming(path, err))
}

fn measure(evaluator: &Evaluator, sets: &Sets<'_>) -> Result<Evaluation> {
    let mut progress: Option<(&str, Progress)> = None;
    let found = evaluator.run(sets, &mut |what, done, of| {
        let bar = match progress.take() {
            Some((before, bar)) if before == what => bar,
            before => {
                if let Some((_, bar)) = before {
                    bar.finish();
                }
                Progress::new(what, 0, of as u64)
            }
        };
        let bar = &mut progress.insert((what, bar)).1;
        bar.update(done as u64, of as u64, String::new);
    });
    if let Some((_, bar)) = progress {
        bar.finish();
    }
    Ok(found?)
}

/// In the order in which they are documented; `null` never stands for what is absent.
fn show(metrics: &BTreeMap<&'static str, f64>, as_json: bool) -> Result<()> {
    if as_json {
        return output::json(metrics);
    }
    for name in METRICS {
        if let Some(value) = metrics.get(name) {
            output::print(format_args!("{name:<20} {value:.6}"))?;
        }
    }
    Ok(())
}

/// What stands in `eval.json`: the numbers, everything that they depend on, and the nearest images.
fn written(
    evaluator: &Evaluator,
    sets: &Sets<'_>,
    against: &Against,
    how: &Value,
    found: &Evaluation,
) -> Value {
    let nearest = found.nearest.as_ref().map(|nearest| {
        let shown = nearest.indices.len().min(SHOWN);
        json!({
            "indices": nearest.indices[..shown],
            "distances": nearest.distances[..shown],
            "second": nearest.second[..shown],
        })
    });
    json!({
        "metrics": found.metrics,
        "notes": found.notes,
        "settings": {
            "samples": how,
            "against": {
                "name": against.name,
                "count": sets.data.count(),
                "test_count": sets.test.map(Dataset::count),
            },
            "features_of_precision_and_recall": found.manifold_of,
            "inception": evaluator.inception.as_ref().map(tweedie::eval::Extractor::key),
            "classifier": evaluator.classifier_config(sets.data),
            "kernel": evaluator.kernel,
            "projections": evaluator.projections,
            "mmd_rows": evaluator.mmd_rows,
            "seed": evaluator.seed,
            "version": env!("CARGO_PKG_VERSION"),
        },
        "nearest": nearest,
    })
}

/// The folder that is asked for, or the user's own; none where there is neither.
fn cache(asked: Option<PathBuf>) -> Result<Option<PathBuf>> {
    let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let usual = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let folder = asked.or_else(|| Some(usual?.join("tweedie")));
    if let Some(folder) = &folder {
        std::fs::create_dir_all(folder).with_context(|| {
            format!("the cache, {}: --cache DIR names another", folder.display())
        })?;
    }
    Ok(folder)
}

/// `samples` and, if they are there, `classes`: what `tweedie sample -o FILE.safetensors` writes.
fn safetensors(path: &Path) -> Result<Dataset> {
    let mut dict = weights::load(path, weights::KindPolicy::Keep, tch::Device::Cpu)?;
    let samples = dict.remove("samples");
    let samples = samples.with_context(|| format!("{}: no tensor samples", path.display()))?;
    Dataset::new(samples, dict.remove("classes")).with_context(|| path.display().to_string())
}
