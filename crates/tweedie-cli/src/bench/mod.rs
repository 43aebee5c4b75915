//! The work that other libraries are timed at by `benches/peers/bench.py`, under the same names.
//!
//! Every reading runs in a process of its own, so that its peak memory means something.

mod ideal;
mod image;
pub(crate) mod measure;
mod overhead;
pub(crate) mod precision;
mod sd;
mod startup;
mod toy;

use crate::output;
use anyhow::{Context, Result, bail, ensure};
use measure::{Row, Values};
use std::process::{Command, Stdio};

/// How a reading is to be taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Threads of libtorch.
    pub(crate) threads: usize,
    /// Instead of each reading's own number of repetitions.
    pub(crate) repeat: Option<usize>,
    /// Whether image networks compute in what is fastest here instead of single precision.
    pub(crate) auto: bool,
}

impl Settings {
    fn n(&self, default: usize) -> usize {
        self.repeat.unwrap_or(default).max(1)
    }
}

/// Something that is timed.
struct Reading {
    case: &'static str,
    what: &'static str,
    unit: &'static str,
    take: fn(Settings) -> Result<Values>,
}

const fn reading(
    case: &'static str,
    what: &'static str,
    unit: &'static str,
    take: fn(Settings) -> Result<Values>,
) -> Reading {
    Reading { case, what, unit, take }
}

/// A sampler by its listed name; `ddim`, `euler` and `heun` are the peers' readings of other names.
macro_rules! overhead {
    ($name:literal, $batch:literal) => {
        reading(
            "sampler-overhead",
            concat!($name, " [", $batch, ", 4, 64, 64]"),
            "us/step",
            |settings| overhead::named(settings, $name, $batch),
        )
    };
}

const READINGS: &[Reading] = &[
    reading("toy-train", "train readme (100 pts, batch 100)", "it/s", |s| toy::train(s, 100, 2000)),
    reading("toy-train", "train 2048 pts, batch 2048", "it/s", |s| toy::train(s, 2048, 200)),
    reading("toy-sample", "2000 pts, 20 steps, gam=2", "s", toy::sample),
    reading("sampler-overhead", "ddim gam=1 mu=0 [1, 4, 64, 64]", "us/step", |s| {
        overhead::ddim(s, 1)
    }),
    reading("sampler-overhead", "ddim gam=1 mu=0 [16, 4, 64, 64]", "us/step", |s| {
        overhead::ddim(s, 16)
    }),
    reading("sampler-overhead", "accelerated gam=2 mu=0 [1, 4, 64, 64]", "us/step", |s| {
        overhead::accelerated(s, 1)
    }),
    reading("sampler-overhead", "accelerated gam=2 mu=0 [16, 4, 64, 64]", "us/step", |s| {
        overhead::accelerated(s, 16)
    }),
    reading("sampler-overhead", "ddpm gam=1 mu=0.5 [1, 4, 64, 64]", "us/step", |s| {
        overhead::ddpm(s, 1)
    }),
    reading("sampler-overhead", "ddpm gam=1 mu=0.5 [16, 4, 64, 64]", "us/step", |s| {
        overhead::ddpm(s, 16)
    }),
    reading("sampler-overhead", "sample_euler [1, 4, 64, 64]", "us/step", |s| {
        overhead::euler(s, 1)
    }),
    reading("sampler-overhead", "sample_euler [16, 4, 64, 64]", "us/step", |s| {
        overhead::euler(s, 16)
    }),
    reading("sampler-overhead", "sample_heun [1, 4, 64, 64]", "us/step", |s| overhead::heun(s, 1)),
    reading("sampler-overhead", "sample_heun [16, 4, 64, 64]", "us/step", |s| {
        overhead::heun(s, 16)
    }),
    overhead!("ddim", 1),
    overhead!("ddim", 16),
    overhead!("euler", 1),
    overhead!("euler", 16),
    overhead!("heun", 1),
    overhead!("heun", 16),
    overhead!("dpm-2", 1),
    overhead!("dpm-2", 16),
    overhead!("lms", 1),
    overhead!("lms", 16),
    overhead!("dpmpp-2s", 1),
    overhead!("dpmpp-2s", 16),
    overhead!("dpmpp-2m", 1),
    overhead!("dpmpp-2m", 16),
    overhead!("dpmpp-2m-sde", 1),
    overhead!("dpmpp-2m-sde", 16),
    reading("sampler-overhead", "dpmpp-2m-sde, Brownian tree [1, 4, 64, 64]", "us/step", |s| {
        overhead::brownian(s, 1)
    }),
    reading("sampler-overhead", "dpmpp-2m-sde, Brownian tree [16, 4, 64, 64]", "us/step", |s| {
        overhead::brownian(s, 16)
    }),
    overhead!("dpmpp-3m", 1),
    overhead!("dpmpp-3m", 16),
    overhead!("unipc", 1),
    overhead!("unipc", 16),
    overhead!("deis", 1),
    overhead!("deis", 16),
    overhead!("plms", 1),
    overhead!("plms", 16),
    overhead!("ipndm", 1),
    overhead!("ipndm", 16),
    reading("dit", "forward batch 64", "s", |s| image::dit()?.forward(s)),
    reading("dit", "train batch 64", "it/s", |s| image::dit()?.train(s)),
    reading("unet", "forward batch 32", "s", |s| image::unet()?.forward(s)),
    reading("unet", "train batch 32", "it/s", |s| image::unet()?.train(s)),
    reading("ideal-denoiser", "build 60k", "s", ideal::build),
    reading("ideal-denoiser", "call sigma=0.05 batch 64", "s", |s| ideal::call(s, 0.05, 64)),
    reading("ideal-denoiser", "call sigma=1.0 batch 64", "s", |s| ideal::call(s, 1.0, 64)),
    reading("ideal-denoiser", "call sigma=20.0 batch 64", "s", |s| ideal::call(s, 20.0, 64)),
    reading("ideal-denoiser", "call sigma=0.05 batch 1", "s", |s| ideal::call(s, 0.05, 1)),
    reading("ideal-denoiser", "call sigma=1.0 batch 1", "s", |s| ideal::call(s, 1.0, 1)),
    reading("ideal-denoiser", "call sigma=20.0 batch 1", "s", |s| ideal::call(s, 20.0, 1)),
    reading("sd", "load from_pretrained + read every weight", "s", sd::load),
    reading("sd", "tokenizer 1 prompt", "us", sd::tokenizer),
    reading("sd", "text encoder, 77 tokens, batch 1", "s", sd::text_encoder),
    reading("sd", "unet forward, latent 32x32, batch 2", "s", sd::unet_forward),
    reading("sd", "vae decode, latent 32x32 to 256x256, batch 1", "s", sd::vae_decode),
    reading("sd", "pipeline 256x256, 5 DDIM steps, CFG 7.5", "s", |s| sd::pipeline(s, false)),
    reading("sd", "pipeline 256x256, 5 DDIM steps, CFG 7.5, sequential", "s", |s| {
        sd::pipeline(s, true)
    }),
    reading("startup", startup::SCHEDULE, "s", startup::schedule),
    reading("startup", startup::PICTURE, "s", startup::picture),
];

/// The names of the cases, in order.
pub(crate) fn cases() -> Vec<&'static str> {
    let mut cases: Vec<_> = READINGS.iter().map(|r| r.case).collect();
    cases.dedup();
    cases
}

/// (case, what, unit) of every reading of `case`, or of all, whose name contains `what`.
pub(crate) fn list(case: &str, what: &str) -> Vec<(&'static str, &'static str, &'static str)> {
    // Its model is not a thing that everybody has.
    let is_there = |r: &&Reading| r.case != "sd" || case == "sd" || sd::folder().is_dir();
    let wanted = READINGS.iter().filter(is_there).filter(|r| case == "all" || r.case == case);
    wanted.filter(|r| r.what.contains(what)).map(|r| (r.case, r.what, r.unit)).collect()
}

/// Takes one reading in this process and prints it.
pub(crate) fn take(case: &str, what: &str, settings: Settings) -> Result<()> {
    let wanted = READINGS.iter().find(|r| r.case == case && r.what == what);
    let Some(Reading { case, what, unit, take }) = wanted else {
        bail!("no reading {what:?} in {case}");
    };
    let Values { values, peak_rss_mb } = take(settings)?;
    ensure!(!values.is_empty(), "the reading {what:?} has no values");
    let quantile = |q| measure::rounded(measure::quantile(&values, q));
    output::json(&Row {
        case,
        what,
        unit,
        median: quantile(0.5),
        n: values.len(),
        min: quantile(0.0),
        q1: quantile(0.25),
        q3: quantile(0.75),
        max: quantile(1.0),
        threads: settings.threads,
        peak_rss_mb: peak_rss_mb.or_else(measure::peak_rss_mb),
    })
}

/// Takes one reading in a process of its own; returns its line of JSON.
pub(crate) fn take_apart(case: &str, what: &str, settings: Settings) -> Result<String> {
    let threads = settings.threads.to_string();
    let program = std::env::current_exe().context("where this program is")?;
    let mut command = Command::new(program);
    command
        .args(["bench", case, "--json", "--here", "--what", what, "--threads", &threads])
        .envs([("OMP_NUM_THREADS", &threads), ("RAYON_NUM_THREADS", &threads)])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if settings.auto {
        command.args(["--dtype", "auto"]);
    }
    if let Some(repeat) = settings.repeat {
        command.args(["--repeat", &repeat.to_string()]);
    }
    let output = command.output().context("this program cannot be started again")?;
    ensure!(output.status.success(), "{case}, {what}: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_have_names_of_their_own() {
        let mut names: Vec<_> = list("all", "");
        names.sort_unstable();
        names.dedup();
        assert!(names.len() + 7 >= READINGS.len(), "all but perhaps Stable Diffusion's");
        assert_eq!(list("toy-train", "2048").len(), 1);
        assert_eq!(cases().len(), 8);
    }
}
