//! Samples as pictures: what is drawn of which kind of data, and the way from noise.

use crate::picture::grid::{Images, grid, square};
use crate::picture::scatter::{Scatter, Window, scatter};
use crate::recipe::data::View;
use crate::run::{Request, Run, Samples};
use anyhow::Result;
use image::RgbImage;
use tweedie::schedules::NoiseLevel;

/// Between frames of an animation.
pub(crate) const DELAY_MS: u32 = 60;
/// An animation has at least about so many frames, some of them between the sampler's steps.
const FRAMES: usize = 40;
/// Width of a scatter plot, still or moving.
const STILL: u32 = 640;
const MOVING: u32 = 480;

/// The samples: points over the training data, or images, a row a class where classes differ.
pub(crate) fn picture(run: &Run, request: &Request, samples: &Samples) -> Result<RgbImage> {
    let title = title(request);
    draw(run, request, &samples.values, &title, STILL)
}

/// The way from noise. States shrink with their level, so that all of it happens in one window.
pub(crate) fn frames(run: &Run, request: &Request, samples: &Samples) -> Result<Vec<RgbImage>> {
    let steps = samples.way.len().saturating_sub(1).max(1);
    let between = FRAMES.div_ceil(steps).clamp(1, 4);
    let spread = run.view.spread();
    let states: Vec<(f64, Vec<f32>)> =
        samples.way.iter().map(|(l, x)| shrunk(*l, x, spread)).collect();
    let mut frames = Vec::new();
    for (i, pair) in states.windows(2).enumerate() {
        for k in 0..between {
            let part = k as f32 / between as f32;
            let (from, to) = (&pair[0], &pair[1]);
            let x: Vec<f32> = from.1.iter().zip(&to.1).map(|(a, b)| a + part * (b - a)).collect();
            let title = format!("step {i} of {steps} · σ/α = {:.3}", from.0);
            frames.push(draw(run, request, &x, &title, MOVING)?);
        }
    }
    frames.push(draw(run, request, &samples.values, &title(request), MOVING)?);
    Ok(frames)
}

/// A state at the scale at which data of that spread and their noise together keep it.
pub(crate) fn shrunk(level: NoiseLevel, x: &[f32], spread: f64) -> (f64, Vec<f32>) {
    let factor = (spread / (level.alpha * spread).hypot(level.sigma)) as f32;
    (level.ratio(), x.iter().map(|v| v * factor).collect())
}

fn title(request: &Request) -> String {
    let sampler = serde_json::to_value(request.sampler).unwrap_or_default();
    let sampler = sampler["name"].as_str().unwrap_or("samples").to_owned();
    format!("{} samples · {sampler}, {} steps", request.count, request.steps)
}

fn draw(run: &Run, request: &Request, values: &[f32], title: &str, size: u32) -> Result<RgbImage> {
    match &run.view {
        View::Points { data } => {
            let samples: Vec<[f32; 2]> = values.as_chunks().0.to_vec();
            let classes = request.classes.as_deref();
            let window = Window::around(data);
            scatter(&Scatter { title, data, samples: &samples, classes, window }, size)
        }
        View::Images { channels, height, width, class_names } => {
            let images = Images {
                values: values.to_vec(),
                channels: *channels,
                height: *height,
                width: *width,
            };
            let (rows, labels) = rows(request, class_names);
            grid(&images, &rows, labels.as_deref())
        }
    }
}

/// A row a class if there are several, else about a square.
fn rows(request: &Request, names: &[String]) -> (Vec<usize>, Option<Vec<String>>) {
    let classes = request.classes.as_deref().unwrap_or_default();
    let runs: Vec<&[i64]> = classes.chunk_by(|a, b| a == b).collect();
    if runs.len() < 2 {
        return (square(request.count), None);
    }
    let labels = runs.iter().map(|r| class_name(names, r[0])).collect();
    (runs.iter().map(|r| r.len()).collect(), Some(labels))
}

/// The name of a class, its number where it has none.
pub(crate) fn class_name(names: &[String], class: i64) -> String {
    let name = usize::try_from(class).ok().and_then(|i| names.get(i)).cloned();
    name.unwrap_or_else(|| class.to_string())
}
