//! `tweedie bench shortcuts`: what each way to draw faster gains, and how far it leads away.

use crate::bench::measure;
use crate::commands::{draw, sampler, threads};
use crate::output::{self, Progress as Bar};
use crate::run;
use anyhow::{Result, ensure};
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;
use tch::{Device, Kind, Tensor};
use tweedie::samplers::SamplerSpec;
use tweedie::sd::StableDiffusion;
use tweedie::sd::image::Picture;
use tweedie::sd::pipeline::{Options, Output, Progress, Request};
use tweedie::sd::unet::Shortcuts;
use tweedie::torch::runtime;

/// What may be typed.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A folder that diffusers saved, or one safetensors file
    #[arg(long, value_name = "DIR|FILE")]
    model: PathBuf,
    /// What to draw
    #[arg(long, default_value = "an astronaut riding a horse")]
    prompt: String,
    /// Steps of the sampler
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    steps: u32,
    /// A name that `tweedie samplers` lists [default: the model's own]
    #[arg(long, value_parser = sampler)]
    sampler: Option<SamplerSpec>,
    /// Decides the noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Width in pixels [default: the model's own]
    #[arg(long)]
    width: Option<i64>,
    /// Height in pixels [default: the model's own]
    #[arg(long)]
    height: Option<i64>,
    /// Noise ratios sigma/alpha at which the guidance interval guides
    #[arg(long, value_name = "LOW,HIGH", default_value = "0.28,5.42",
          value_parser = draw::interval)]
    guidance_interval: (f64, f64),
    /// Skip connections that are computed between two whole calls of the UNet
    #[arg(long, value_name = "N", default_value_t = Shortcuts::default().cache_depth)]
    cache_depth: usize,
    /// Pictures of each way, whose median time counts
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeat: u32,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// What the networks compute in: "auto" is bf16 where the processor multiplies it
    #[arg(long, value_parser = ["f32", "auto"], default_value = "f32")]
    dtype: String,
    /// Threads of libtorch [default: all]
    #[arg(long, value_parser = threads)]
    threads: Option<usize>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// One way to draw, and what came of it.
#[derive(Debug, Serialize)]
struct Row {
    case: &'static str,
    what: String,
    /// From the prompt to the last latents; the decoder does not count.
    seconds: f64,
    /// How many times faster than the exact way.
    speedup: f64,
    /// ‖latents − exact‖ / ‖exact‖
    latents: f64,
    /// The mean distance of the pictures' channels, of 255.
    grey_levels: f64,
    n: u32,
}

/// Runs it.
pub(crate) fn run(args: Args) -> Result<()> {
    run::start(args.threads)?;
    let device = run::device(&args.device)?;
    let kind = if args.dtype == "auto" { runtime::fast_kind(device) } else { Kind::Float };
    let options = Options { device, kind, ..Options::default() };
    let mut sd = StableDiffusion::open(&args.model, options)?;
    let ways = ways(&args);
    let mut bar = Bar::new("ways", 0, 0);
    // The first picture loads the weights.
    let (known, _) = picture(&mut sd, &exact(&args))?;
    let mut rows: Vec<Row> = Vec::new();
    for (k, (what, request)) in ways.iter().enumerate() {
        bar.update(k as u64, ways.len() as u64, String::new);
        let mut times = Vec::new();
        let mut made = None;
        for _ in 0..args.repeat {
            let (output, seconds) = picture(&mut sd, request)?;
            times.push(seconds);
            made = Some(output);
        }
        let Some(made) = made else { continue };
        let seconds = measure::quantile(&times, 0.5);
        rows.push(Row {
            case: "shortcuts",
            what: what.clone(),
            seconds,
            speedup: rows.first().map_or(1.0, |exact| exact.seconds / seconds),
            latents: relative(&made.latents, &known.latents)?,
            grey_levels: grey_levels(&made.pictures, &known.pictures)?,
            n: args.repeat,
        });
    }
    bar.finish();
    print(&rows, args.json)
}

/// With nothing left out.
fn exact(args: &Args) -> Request {
    Request {
        prompt: args.prompt.clone(),
        steps: args.steps as usize,
        sampler: args.sampler,
        seed: args.seed,
        width: args.width,
        height: args.height,
        ..Request::default()
    }
}

/// The exact way first.
fn ways(args: &Args) -> Vec<(String, Request)> {
    let exact = exact(args);
    let with = |shortcuts| Request { shortcuts, ..exact.clone() };
    let mut guided = exact.clone();
    guided.guidance.interval = Some(args.guidance_interval);
    let (low, high) = args.guidance_interval;
    let mut ways = vec![
        ("exact".to_owned(), exact.clone()),
        (format!("guidance interval {low},{high}"), guided),
    ];
    let cached =
        |n| Shortcuts { cache_interval: n, cache_depth: args.cache_depth, ..Shortcuts::default() };
    for n in [2, 3, 5] {
        ways.push((format!("DeepCache N={n} depth={}", args.cache_depth), with(cached(n))));
    }
    for merge_ratio in [0.25, 0.5] {
        let merged = Shortcuts { merge_ratio, ..Shortcuts::default() };
        ways.push((format!("token merging {merge_ratio}"), with(merged)));
    }
    let both = Shortcuts { merge_ratio: 0.5, ..cached(3) };
    ways.push(("DeepCache N=3, token merging 0.5".to_owned(), with(both)));
    ways
}

/// What a request comes to, and the seconds until its latents were done.
fn picture(sd: &mut StableDiffusion, request: &Request) -> Result<(Output, f64)> {
    let (begin, mut end) = (Instant::now(), None);
    let mut watch = |progress: Progress<'_>| {
        if let Progress::Decoding = progress {
            end = Some(Instant::now());
        }
        ControlFlow::Continue(())
    };
    let output = sd.generate(request, &mut watch).map_err(draw::fault)?;
    Ok((output, end.unwrap_or_else(Instant::now).duration_since(begin).as_secs_f64()))
}

/// ‖a − b‖ / ‖b‖
fn relative(a: &Tensor, b: &Tensor) -> Result<f64> {
    let norm =
        |t: &Tensor| -> Result<f64> { Ok(f64::try_from(t.f_to_kind(Kind::Double)?.f_norm()?)?) };
    Ok(norm(&a.f_sub(b)?)? / norm(b)?)
}

/// The mean absolute difference of two sets of pictures, in grey levels.
fn grey_levels(a: &[Picture], b: &[Picture]) -> Result<f64> {
    ensure!(a.len() == b.len() && !a.is_empty(), "{} pictures against {}", a.len(), b.len());
    let mut sum = 0.0;
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a.to_tensor(Device::Cpu)?, b.to_tensor(Device::Cpu)?);
        sum += f64::try_from(a.f_sub(&b)?.f_abs()?.f_mean(Kind::Double)?)? * 127.5;
    }
    Ok(sum / a.len() as f64)
}

fn print(rows: &[Row], json: bool) -> Result<()> {
    if json {
        return rows.iter().try_for_each(output::json);
    }
    output::print(format_args!(
        "{:34}{:>10}{:>10}{:>12}{:>14}",
        "way", "seconds", "speed-up", "latents", "grey levels"
    ))?;
    for Row { what, seconds, speedup, latents, grey_levels, .. } in rows {
        output::print(format_args!(
            "{what:34}{seconds:>10.3}{speedup:>9.2}x{latents:>12.2e}{grey_levels:>14.2}"
        ))?;
    }
    Ok(())
}
