//! What the examples share: how long they run, and pictures of what comes out.

use anyhow::{Context, Result};
use image::{GrayImage, Luma};
use std::path::{Path, PathBuf};
use tweedie::tch::Tensor;
use tweedie::torch::tensor;

/// Training steps: `default`, or what `TWEEDIE_EXAMPLE_STEPS` says (tests say little).
pub fn steps(default: u64) -> Result<u64> {
    match std::env::var("TWEEDIE_EXAMPLE_STEPS") {
        Ok(steps) => steps.parse().context("TWEEDIE_EXAMPLE_STEPS is no number"),
        Err(_) => Ok(default),
    }
}

/// Where a Stable Diffusion model is, and a prompt: the program's arguments, or the model of the tests.
pub fn model_and_prompt() -> (PathBuf, String) {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/tweedie-sd/tests/golden/sd15");
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().unwrap_or_else(|| fixture.to_owned());
    let prompt = arguments.next().unwrap_or_else(|| "a fox in the snow".to_owned());
    (model.into(), prompt)
}

/// Writes `[n, 1, h, w]` in [−1, 1] as a grid of `columns`, each pixel drawn `scale` times as large.
pub fn save_grid(images: &Tensor, columns: usize, scale: u32, path: &Path) -> Result<()> {
    let size = images.size();
    let (n, h, w) = (size[0] as usize, size[2] as u32, size[3] as u32);
    let values = tensor::to_f32(images)?;
    let rows = n.div_ceil(columns) as u32;
    let mut picture = GrayImage::new(columns as u32 * w * scale, rows * h * scale);
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let (px, py) = (x / scale, y / scale);
        let which = (py / h) as usize * columns + (px / w) as usize;
        let at = which * (h * w) as usize + (py % h * w + px % w) as usize;
        let value = values.get(at).copied().unwrap_or(-1.0);
        *pixel = Luma([((value + 1.0) * 127.5).clamp(0.0, 255.0) as u8]);
    }
    save(&picture, path)
}

/// Writes points, `[n, 2]` within ±`reach`, as dark dots on white.
pub fn save_scatter(points: &Tensor, reach: f32, path: &Path) -> Result<()> {
    const SIDE: u32 = 480;
    let mut picture = GrayImage::from_pixel(SIDE, SIDE, Luma([255]));
    for xy in tensor::to_f32(points)?.chunks_exact(2) {
        let place = |v: f32| ((v / reach + 1.0) / 2.0 * (SIDE - 2) as f32) as i64;
        let (x, y) = (place(xy[0]), i64::from(SIDE) - 2 - place(xy[1]));
        for (dx, dy) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            if (0..i64::from(SIDE)).contains(&(x + dx)) && (0..i64::from(SIDE)).contains(&(y + dy))
            {
                picture.put_pixel((x + dx) as u32, (y + dy) as u32, Luma([30]));
            }
        }
    }
    save(&picture, path)
}

fn save(picture: &GrayImage, path: &Path) -> Result<()> {
    picture.save(path).with_context(|| format!("cannot write {}", path.display()))
}
