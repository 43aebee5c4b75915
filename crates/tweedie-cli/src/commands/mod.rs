//! One file a command: what may be typed, and what then happens.

pub(crate) mod bench;
pub(crate) mod draw;
pub(crate) mod eval;
pub(crate) mod inspect;
pub(crate) mod plot;
pub(crate) mod recipes;
pub(crate) mod report;
pub(crate) mod sample;
pub(crate) mod samplers;
pub(crate) mod schedule;
pub(crate) mod train;

use crate::cli::Command;
use anyhow::Result;
use std::process::ExitCode;
use tweedie::samplers::SamplerSpec;

/// Runs a command to the exit code of the program.
pub(crate) fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Train(args) => return train::run(args),
        Command::Sample(args) => sample::run(args)?,
        Command::Txt2Img(args) => draw::txt2img(*args)?,
        Command::Img2Img(args) => draw::img2img(*args)?,
        Command::Inpaint(args) => draw::inpaint(*args)?,
        Command::Upscale(args) => draw::upscale(*args)?,
        Command::Eval(args) => eval::run(args)?,
        Command::Plot(args) => plot::run(args)?,
        Command::Report(args) => report::run(args)?,
        Command::Schedule(args) => schedule::run(args)?,
        Command::Samplers(args) => samplers::run(args)?,
        Command::Recipes(args) => recipes::run(args)?,
        Command::Inspect(args) => inspect::run(args)?,
        Command::Bench(args) => bench::run(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A number of threads, as typed.
pub(crate) fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=1024) => Ok(threads),
        _ => Err("expected a whole number from 1 to 1024".to_owned()),
    }
}

/// A sampler's name, as typed.
pub(crate) fn sampler(name: &str) -> Result<SamplerSpec, String> {
    SamplerSpec::by_name(name).ok_or_else(|| {
        let names: Vec<&str> = SamplerSpec::all().iter().map(|s| s.name).collect();
        match names.iter().max_by(|a, b| near(name, a).total_cmp(&near(name, b))) {
            Some(best) if near(name, best) > 0.8 => format!("did you mean {best}?"),
            _ => format!("expected one of {}", names.join(", ")),
        }
    })
}

fn near(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b)
}
