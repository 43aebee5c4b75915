//! `tweedie txt2img`, `img2img`, `inpaint` and `upscale`: pictures by Stable Diffusion.

mod args;
mod hub;
mod notes;

pub(crate) use args::{Img2Img, Inpaint, Txt2Img, Upscale, interval};

use crate::output::{self, Progress, usage};
use crate::{memory, run};
use anyhow::{Context, Result, anyhow};
use args::Common;
use notes::Made;
use serde_json::json;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tweedie::core::Error as Core;
use tweedie::sd::image::Picture;
use tweedie::sd::pipeline::{self, Init, Previewer, Request};
use tweedie::sd::{Error, StableDiffusion};
use tweedie::torch::Error as Torch;

/// Runs `txt2img`.
pub(crate) fn txt2img(args: Txt2Img) -> Result<()> {
    let Txt2Img {
        common,
        variation_seed,
        variation,
        hires,
        hires_strength,
        refiner,
        refiner_start,
    } = args;
    let refiner = refiner.map(|model| Refiner { model, start: refiner_start });
    let request = Request {
        variation: variation_seed.map(|seed| pipeline::Variation { seed, weight: variation }),
        hires: hires.map(|scale| pipeline::Hires { scale, strength: hires_strength }),
        ..common.request()
    };
    draw_with(&common, request, refiner)
}

/// Runs `img2img`.
pub(crate) fn img2img(args: Img2Img) -> Result<()> {
    let Img2Img { common, init, strength } = args;
    let init = Init { picture: open(&init)?, strength, mask: None, scale: 1.0 };
    let request = Request { init: Some(init), ..common.request() };
    draw(&common, request)
}

/// Runs `inpaint`.
pub(crate) fn inpaint(args: Inpaint) -> Result<()> {
    let Inpaint { common, init, mask, strength } = args;
    let init = Init { picture: open(&init)?, strength, mask: Some(open(&mask)?), scale: 1.0 };
    let request = Request { init: Some(init), ..common.request() };
    draw(&common, request)
}

/// Runs `upscale`.
pub(crate) fn upscale(args: Upscale) -> Result<()> {
    let Upscale { common, image, scale, strength } = args;
    let init = Init { picture: open(&image)?, strength, mask: None, scale };
    let request = Request { init: Some(init), ..common.request() };
    draw(&common, request)
}

fn open(path: &Path) -> Result<Picture> {
    Ok(Picture::open(path)?)
}

/// A second model that ends what the first begins.
struct Refiner {
    model: PathBuf,
    /// The share of the way that is the first model's.
    start: f64,
}

fn draw(common: &Common, request: Request) -> Result<()> {
    draw_with(common, request, None)
}

fn draw_with(common: &Common, request: Request, refiner: Option<Refiner>) -> Result<()> {
    let outputs = outputs(common, request.count)?;
    run::start(common.threads)?;
    let begin = Instant::now();
    let options = common.options()?;
    let mut sd = StableDiffusion::open(&hub::located(&common.model, &options.files)?, options)?;
    let mut second = match &refiner {
        // What is learnt for the first model is not for this one.
        Some(refiner) => {
            let mut options = common.options()?;
            options.files.loras.clear();
            let model = hub::located(&refiner.model, &options.files)?;
            Some((StableDiffusion::open(&model, options)?, refiner.start))
        }
        None => None,
    };
    let mut watcher = Watcher::new(common, &mut sd)?;
    let mut draw = || {
        let watch = &mut |progress: pipeline::Progress<'_>| watcher.tell(&progress);
        let made = match &mut second {
            Some((refiner, start)) => sd.generate_with_refiner(refiner, *start, &request, watch),
            None => sd.generate(&request, watch),
        };
        made.map_err(fault)
    };
    let made = memory::caught(&mut draw, out_of_memory);
    let seconds = watcher.finish(begin);
    let made = made?;
    let writing = Instant::now();
    let (steps, sampler) = (request.steps, request.sampler.unwrap_or(sd.scheduler().sampler));
    let how = Made {
        request: &request,
        model: &common.model,
        hash: sd.files().fingerprint()?,
        refiner: refiner.as_ref(),
        sampler,
    };
    for (k, (picture, path)) in made.pictures.iter().zip(&outputs).enumerate() {
        picture.save(path, &how.notes(k, picture.size())?)?;
    }
    if common.json {
        let mut seconds = seconds;
        seconds["write"] = json!(writing.elapsed().as_secs_f64());
        return output::json(&json!({
            "outputs": outputs, "seed": request.seed, "steps": steps, "sampler": sampler,
            "guidance_scale": request.guidance.scale, "seconds": seconds,
        }));
    }
    outputs.iter().try_for_each(|path| output::print(path.display()))
}

/// What was typed wrong is the typist's fault, the rest is not.
pub(crate) fn fault(error: Error) -> anyhow::Error {
    match error {
        Error::Invalid { .. } => output::as_usage(error),
        Error::Torch(Torch::Memory(said)) | Error::Core(Core::Torch(Torch::Memory(said))) => {
            out_of_memory(said)
        }
        other => other.into(),
    }
}

fn out_of_memory(said: String) -> anyhow::Error {
    anyhow!(
        "out of memory: {said} (less is needed with a lower --width and --height, a lower -n, --tiled, --sequential)"
    )
}

/// Where the pictures go: the file that was named, or `name-0.png`, `name-1.png` … for several.
/// Nothing that is there is overwritten unless that was asked for, and a folder that cannot be written
/// is told before the work begins.
fn outputs(common: &Common, count: usize) -> Result<Vec<PathBuf>> {
    let path = &common.output;
    let (stem, extension) = (path.with_extension(""), crate::files::extension(path));
    let outputs: Vec<PathBuf> = match count {
        1 => vec![path.clone()],
        _ => (0..count).map(|k| format!("{}-{k}.{extension}", stem.display()).into()).collect(),
    };
    for output in outputs.iter().chain(&common.preview) {
        may_be_written(output, common.force)?;
    }
    if let Some(preview) = &common.preview
        && outputs.contains(preview)
    {
        let shown = preview.display();
        return Err(usage(format!(
            "--preview {shown} is a picture's own name, expected one of its own"
        )));
    }
    for path in [path].into_iter().chain(&common.preview) {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        tempfile::tempfile_in(folder)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(outputs)
}

/// That a name is a PNG's, and nobody else's.
fn may_be_written(path: &Path, force: bool) -> Result<()> {
    let shown = path.display();
    if crate::files::extension(path) != "png" {
        return Err(usage(format!("{shown}: expected a name ending in .png")));
    }
    if path.is_dir() {
        return Err(usage(format!("{shown} is a folder, expected the name of a file")));
    }
    // A name that is too long for the file system, or leads through a file, is told by asking for it.
    if path.try_exists().with_context(|| format!("cannot write {shown}"))? && !force {
        return Err(usage(format!("{shown} is there already; --force replaces it")));
    }
    Ok(())
}

/// Shows how far the work is.
struct Watcher {
    progress: Option<Progress>,
    preview: Option<(Previewer, PathBuf)>,
    first_step: Option<Instant>,
    decoding: Option<Instant>,
}

impl Watcher {
    fn new(common: &Common, sd: &mut StableDiffusion) -> Result<Self> {
        let preview = match &common.preview {
            Some(path) => Some((sd.previewer()?, path.clone())),
            None => None,
        };
        Ok(Watcher { progress: None, preview, first_step: None, decoding: None })
    }

    fn tell(&mut self, progress: &pipeline::Progress<'_>) -> ControlFlow<()> {
        match progress {
            pipeline::Progress::Step { done, steps, x0 } => {
                self.first_step.get_or_insert_with(Instant::now);
                let bar = self.progress.get_or_insert_with(|| Progress::new("drawing", 0, 0));
                bar.update(*done as u64, *steps as u64, String::new);
                self.show(x0);
            }
            pipeline::Progress::Decoding => self.decoding = Some(Instant::now()),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// Writes the preview; one that fails is no reason to end the work.
    fn show(&mut self, x0: &tch::Tensor) {
        let Some((previewer, path)) = &self.preview else { return };
        let shown = previewer.pictures(x0).and_then(|pictures| match pictures.first() {
            Some(picture) => {
                picture.resized(4 * picture.size().0, 4 * picture.size().1).save(path, &[])
            }
            None => Ok(()),
        });
        if let Err(error) = shown {
            output::note(format_args!("no preview: {error}"));
            self.preview = None;
        }
    }

    /// Seconds until the first step was done, of the further ones, and of the decoder.
    fn finish(self, begin: Instant) -> serde_json::Value {
        if let Some(progress) = self.progress {
            progress.finish();
        }
        let between = |from: Option<Instant>, to: Option<Instant>| {
            from.zip(to).map(|(from, to)| to.duration_since(from).as_secs_f64())
        };
        json!({
            "first_step": between(Some(begin), self.first_step),
            "steps": between(self.first_step, self.decoding),
            "decode": between(self.decoding, Some(Instant::now())),
        })
    }
}
