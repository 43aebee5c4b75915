//! A run directory as a denoiser, and the way from noise to its samples.

use crate::output::{self, usage};
use crate::recipe::{Recipe, data::View};
use anyhow::{Context, Result};
use std::path::Path;
use tch::{Device, Kind, Tensor};
use tweedie::core::{Cond, Denoiser, Model, Network, Noise, NoiseLevel, combinators::DenoiserExt};
use tweedie::models::{Trainable, files};
use tweedie::samplers::{Sampler, SamplerSpec};
use tweedie::schedules::{Grid, GridSpec};
use tweedie::torch::{runtime, tensor};
use tweedie::train::{Which, checkpoint, ema::snapshots, run_dir};

/// Sets libtorch up: once, before the first tensor.
pub(crate) fn start(threads: Option<usize>) -> Result<()> {
    Ok(runtime::init(&runtime::Runtime { threads, ..Default::default() })?)
}

/// Samples in one batch: their activations stay in memory while they are made.
const BATCH: usize = 8192;

/// A trained network and what is known about its data.
pub(crate) struct Run {
    /// How it was trained.
    pub(crate) recipe: Recipe,
    /// The network, averaged weights where the run keeps them.
    pub(crate) model: Model<Box<dyn Trainable>>,
    /// How its samples are shown.
    pub(crate) view: View,
    /// Steps trained.
    pub(crate) step: u64,
}

/// What is asked of a run.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// How many samples.
    pub(crate) count: usize,
    /// Steps of the sampler.
    pub(crate) steps: usize,
    /// Which sampler.
    pub(crate) sampler: SamplerSpec,
    /// Which grid over the run's schedule; its own trailing one if none.
    pub(crate) grid: Option<GridSpec>,
    /// Decides the noise.
    pub(crate) seed: u64,
    /// A class for each sample.
    pub(crate) classes: Option<Vec<i64>>,
    /// `uncond + scale·(cond − uncond)`.
    pub(crate) guidance_scale: f64,
    /// Whether every state on the way is kept.
    pub(crate) keep_way: bool,
}

/// The end of a sampling that was asked to stop, through its progress.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Interrupted {}

/// What a run answers.
pub(crate) struct Samples {
    /// `[count, …]`, f32, row after row.
    pub(crate) values: Vec<f32>,
    /// The shape of `values`.
    pub(crate) shape: Vec<i64>,
    /// The states on the way, the noise first, with their levels; empty unless they were asked for.
    pub(crate) way: Vec<(NoiseLevel, Vec<f32>)>,
    /// The clean data as estimated at each state but the last; empty unless the way was asked for.
    pub(crate) estimates: Vec<Vec<f32>>,
    /// Calls of the denoiser, for each sample.
    pub(crate) evaluations: usize,
}

impl Samples {
    /// Adds a batch to the state of that number.
    fn keep_state(&mut self, index: usize, level: NoiseLevel, x: &Tensor) -> Result<()> {
        if self.way.len() <= index {
            self.way.push((level, Vec::new()));
        }
        self.way[index].1.extend(tensor::to_f32(x)?);
        Ok(())
    }

    /// Adds a batch to the estimate of that number.
    fn keep_estimate(&mut self, index: usize, x0: &Tensor) -> Result<()> {
        if self.estimates.len() <= index {
            self.estimates.push(Vec::new());
        }
        self.estimates[index].extend(tensor::to_f32(x0)?);
        Ok(())
    }
}

impl Request {
    /// What previews show: the recipe's sampler, one row a class if there are any.
    pub(crate) fn usual(run: &Run) -> Result<Self> {
        let defaults = &run.recipe.sample;
        let classes = run.model.network.spec().num_classes();
        let count = classes.map_or(run.view.usual_count(), |c| 10 * c as usize);
        Ok(Request {
            count,
            steps: defaults.steps,
            sampler: defaults.sampler()?,
            grid: defaults.grid,
            seed: 0,
            classes: classes.map(|_| run.classes("all", count)).transpose()?,
            guidance_scale: defaults.guidance_scale,
            keep_way: false,
        })
    }

    /// The grid over the schedule of `recipe`.
    pub(crate) fn grid(&self, recipe: &Recipe) -> Result<Grid> {
        let schedule = recipe.sampling_schedule().build()?;
        Ok(match &self.grid {
            Some(spec) => spec.grid(&schedule, self.steps)?,
            None => schedule.grid(self.steps)?,
        })
    }
}

impl Run {
    /// A checkpoint of the run in `folder`, with a power-function average of its weights of that
    /// width.
    pub(crate) fn open_averaged(
        folder: &Path,
        threads: Option<usize>,
        which: Which,
        sigma_rel: f64,
    ) -> Result<Self> {
        let run = Run::open(folder, threads, which)?;
        let stored = run_dir::averages_path(folder);
        let weights = snapshots::reconstruct(&stored, run.step, sigma_rel)?;
        run.model.network.parameters().load(&weights)?;
        Ok(run)
    }

    /// A checkpoint of the run in `folder`.
    pub(crate) fn open(folder: &Path, threads: Option<usize>, which: Which) -> Result<Self> {
        let recipe = Recipe::of_run(folder, &[])?;
        start(threads.or(recipe.threads))?;
        let (step, saved) = run_dir::find_checkpoint(folder, which)?;
        let averaged = saved.join(checkpoint::EMA).exists();
        let name = if averaged { checkpoint::EMA } else { checkpoint::MODEL };
        checkpoint::verify(&saved, &checkpoint::state(&saved)?, name)?;
        let weights = saved.join(name);
        let device = device(&recipe.device)?;
        let mut model =
            files::load(&weights, Kind::Float, device).map_err(|e| output::naming(&weights, e))?;
        model.network.compute_in(recipe.dtype.kind(device));
        let view = recipe.data.view(&model.network.spec(), recipe.seed)?;
        Ok(Run { recipe, model, view, step })
    }

    /// Samples; `progress` hears of every step: how many are done, of how many. Its error ends the
    /// sampling.
    pub(crate) fn sample(
        &self,
        request: &Request,
        mut progress: impl FnMut(usize, usize) -> Result<()>,
    ) -> Result<Samples> {
        let grid = request.grid(&self.recipe).map_err(output::as_usage)?;
        let sampler = request.sampler.build();
        let shape = self.model.network.spec().sample_shape();
        let batches = request.count.div_ceil(BATCH);
        let mut samples = Samples {
            values: Vec::new(),
            shape: [&[request.count as i64], &shape[..]].concat(),
            way: Vec::new(),
            estimates: Vec::new(),
            evaluations: 0,
        };
        for batch in 0..batches {
            let first = batch * BATCH;
            let count = BATCH.min(request.count - first);
            let classes = request.classes.as_deref().map(|c| &c[first..first + count]);
            let condition = self.condition(count, classes)?;
            let denoiser = self.denoiser(&condition, request.guidance_scale).counted();
            let mut noise = Noise::seeded(request.seed).from_sample(first as u32);
            let shape = [&[count as i64], &shape[..]].concat();
            let x = noise.initial(&shape, Kind::Float, self.device())? * grid.start().sigma;
            if request.keep_way {
                samples.keep_state(0, grid.start(), &x)?;
            }
            let mut last = x.shallow_clone();
            for step in sampler.steps(&denoiser, x, &grid, noise)? {
                let step = step?;
                if request.keep_way {
                    samples.keep_state(step.index + 1, step.level, &step.x)?;
                    samples.keep_estimate(step.index, &step.x0)?;
                }
                last = step.x;
                progress(batch * grid.steps() + step.index + 1, batches * grid.steps())?;
            }
            // An adaptive sampler asks more for one batch than for another.
            samples.evaluations = samples.evaluations.max(denoiser.calls());
            samples.values.extend(tensor::to_f32(&last)?);
        }
        Ok(samples)
    }

    fn device(&self) -> Device {
        self.model.network.parameters().device()
    }

    /// (asked for, none): the conditions of a batch, as far as the network has any.
    fn condition(&self, count: usize, classes: Option<&[i64]>) -> Result<[Option<Cond>; 2]> {
        let null = self.model.network.null_cond(count as i64);
        let asked = classes.map(|c| Cond::class(c).to_device(self.device()));
        Ok([asked, null])
    }

    fn denoiser<'a>(
        &'a self,
        [asked, null]: &'a [Option<Cond>; 2],
        scale: f64,
    ) -> Box<dyn Denoiser + 'a> {
        match (asked, null) {
            (Some(asked), Some(null)) => Box::new(self.model.guided(asked, null, scale)),
            (Some(cond), None) | (None, Some(cond)) => Box::new(self.model.given(cond)),
            (None, None) => Box::new(move |x: &Tensor, level| self.model.denoise(x, level)),
        }
    }

    /// The classes that `text` asks for, one a sample: a number, a name, or `all` in turn.
    pub(crate) fn classes(&self, text: &str, count: usize) -> Result<Vec<i64>> {
        let spec = self.model.network.spec();
        let Some(classes) = spec.num_classes() else {
            return Err(usage(format!("--class {text}: the run was trained without classes")));
        };
        if text == "all" {
            let of = |i: usize| (i * classes as usize / count.max(1)) as i64;
            return Ok((0..count).map(of).collect());
        }
        let named = self.view.class_names().iter().position(|name| name == text);
        let class = text.parse().ok().or(named.map(|i| i as i64));
        let class = class.filter(|c| spec.check_class(*c).is_ok()).ok_or_else(|| {
            let last = classes - 1;
            usage(format!("--class {text}: the run has {classes} classes, 0 to {last}, or \"all\""))
        })?;
        Ok(vec![class; count])
    }
}

/// The device of a name.
pub(crate) fn device(name: &str) -> Result<Device> {
    let device = match name.split_once(':') {
        None if name == "cpu" => Device::Cpu,
        None if name == "cuda" => Device::Cuda(0),
        Some(("cuda", index)) => Device::Cuda(index.parse().context("the number of the device")?),
        _ => return Err(usage(format!("`device` is {name:?}, expected cpu, cuda or cuda:N"))),
    };
    if device.is_cuda() && !runtime::cuda_is_available() {
        anyhow::bail!("`device` is {name:?}, but libtorch finds no CUDA device: cpu always works");
    }
    Ok(device)
}

/// Whether `path` is a run directory at all: an early, clear answer.
pub(crate) fn check_exists(path: &Path) -> Result<()> {
    let recipe = path.join("recipe.toml");
    anyhow::ensure!(
        path.is_dir(),
        "{} is no run directory: there is no such folder",
        path.display()
    );
    anyhow::ensure!(
        recipe.is_file(),
        "{} is no run directory: it has no recipe.toml",
        path.display()
    );
    Ok(())
}
