//! Where samples come from: a run, a folder of images, or a file.

use super::against::Against;
use super::{Args, pictures};
use crate::files::extension;
use crate::output::{Progress, usage};
use crate::run::{Request, Run};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tweedie::data::{Dataset, npy};
use tweedie::torch::tensor;
use tweedie::train::Which;

/// As many samples of a run, unless another number is asked for.
const USUAL_COUNT: usize = 1000;

/// What is to be measured.
pub(super) enum Source {
    /// A trained network.
    Run(Box<OpenRun>),
    /// A folder of images.
    Folder(PathBuf),
    /// A file of samples.
    File(PathBuf),
}

/// A run and its folder.
pub(super) struct OpenRun {
    pub(super) folder: PathBuf,
    pub(super) run: Run,
}

impl Source {
    /// What was typed, opened if it is a run.
    pub(super) fn of(args: &Args) -> Result<Self> {
        let path = &args.samples;
        let shown = path.display();
        if path.join("recipe.toml").is_file() {
            let run = Run::open(path, args.threads, Which::Last)?;
            return Ok(Source::Run(Box::new(OpenRun { folder: path.clone(), run })));
        }
        let only_of_a_run = [
            ("-n", args.n.is_some()),
            ("--steps", args.steps.is_some()),
            ("--sampler", args.sampler.is_some()),
            ("--guidance-scale", args.guidance_scale.is_some()),
            ("--seed", args.seed.is_some()),
        ];
        if let Some((name, _)) = only_of_a_run.iter().find(|(_, given)| path.exists() && *given) {
            return Err(usage(format!("{name} is for runs, and {shown} is none: no recipe.toml")));
        }
        if path.is_dir() {
            return Ok(Source::Folder(path.clone()));
        }
        anyhow::ensure!(path.exists(), "{shown}: there is no such run, folder or file");
        match extension(path).as_str() {
            "npz" | "safetensors" => Ok(Source::File(path.clone())),
            _ => Err(usage(format!("{shown}: expected a folder, .npz or .safetensors"))),
        }
    }

    /// Where the outcome goes unless another place is asked for.
    pub(super) fn usual_output(&self) -> Option<PathBuf> {
        match self {
            Source::Run(open) => Some(open.folder.join("eval.json")),
            Source::Folder(_) | Source::File(_) => None,
        }
    }

    /// Where the work is done unless another place is asked for.
    pub(super) fn device(&self) -> &str {
        match self {
            Source::Run(open) => &open.run.recipe.device,
            Source::Folder(_) | Source::File(_) => "cpu",
        }
    }

    /// The samples in the shape of the data, and how they were come by.
    pub(super) fn samples(&self, args: &Args, against: &Against) -> Result<(Dataset, Value)> {
        let (set, how) = match self {
            Source::Run(open) => sampled(open, args)?,
            Source::Folder(folder) => {
                let &[channels, ..] = &against.train.sample_shape()[..] else {
                    return Err(usage(format!("{} are no images", against.name)));
                };
                let set = pictures::read(folder, channels, &against.class_names)?.set;
                let how = json!({ "folder": folder, "count": set.count() });
                (set, how)
            }
            Source::File(path) => {
                let set = match extension(path).as_str() {
                    "npz" => npy::image_set(path)?,
                    _ => super::safetensors(path)?,
                };
                let shown = path.display();
                anyhow::ensure!(
                    tensor::all_finite(set.samples())?,
                    "{shown}: samples are not finite"
                );
                let how = json!({ "file": path, "count": set.count() });
                (set, how)
            }
        };
        Ok((fitted(set, against, &args.samples)?, how))
    }
}

/// Samples of a run, over its classes in turn.
fn sampled(open: &OpenRun, args: &Args) -> Result<(Dataset, Value)> {
    let run = &open.run;
    let defaults = &run.recipe.sample;
    let count = args.n.map_or(USUAL_COUNT, |n| n as usize);
    let conditional = run.model.network.spec().num_classes().is_some();
    if args.guidance_scale.is_some() && !conditional {
        return Err(usage("--guidance-scale: the run was trained without classes"));
    }
    let request = Request {
        count,
        steps: args.steps.map_or(defaults.steps, |s| s as usize),
        sampler: args.sampler.unwrap_or(defaults.sampler()?),
        grid: defaults.grid,
        seed: args.seed.unwrap_or(0),
        classes: if conditional { Some(run.classes("all", count)?) } else { None },
        guidance_scale: args.guidance_scale.unwrap_or(defaults.guidance_scale),
        keep_way: false,
    };
    let mut progress = Progress::new("sampling", 0, 0);
    let samples = run.sample(&request, progress.steps())?;
    progress.finish();
    let x = tensor::from_f32(&samples.values, &samples.shape)?;
    anyhow::ensure!(
        tensor::all_finite(&x)?,
        "{}: samples are not finite: was it trained long enough, with a learning rate that holds?",
        open.folder.display(),
    );
    let labels = request.classes.as_ref().map(|c| tensor::from_i64(c, &[count as i64]));
    let how = json!({
        "run": open.folder, "trained_steps": run.step, "count": count, "steps": request.steps,
        "sampler": request.sampler, "grid": request.grid, "evaluations": samples.evaluations,
        "guidance_scale": request.guidance_scale, "seed": request.seed, "classes": conditional,
    });
    Ok((Dataset::new(x, labels.transpose()?)?, how))
}

/// In the shape of the data: networks without convolutions know images as rows.
fn fitted(set: Dataset, against: &Against, path: &Path) -> Result<Dataset> {
    let (found, expected) = (set.sample_shape(), against.train.sample_shape());
    let row = [expected.iter().product::<i64>()];
    if found != expected && found != row {
        let shown = path.display();
        anyhow::bail!(
            "{shown}: samples of shape {found:?}, but those of {} are {expected:?}: sizes must agree",
            against.name,
        );
    }
    set.reshaped(&expected).context("the samples")
}
