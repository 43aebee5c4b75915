//! Resizing with a filter that widens when it shrinks, as Pillow's and torchvision's
//! `antialias=True` do.

use crate::{Error, Result};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::pixels::F32;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

/// How pixels are weighed; the names are Pillow's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// The mean of the pixels below.
    Box,
    /// A tent of two pixels.
    Bilinear,
    /// Keys' cubic with a = −0.5, four pixels.
    #[default]
    Bicubic,
    /// Six pixels.
    Lanczos,
}

impl Filter {
    fn options(self) -> ResizeOptions {
        let filter = match self {
            Filter::Box => FilterType::Box,
            Filter::Bilinear => FilterType::Bilinear,
            Filter::Bicubic => FilterType::CatmullRom,
            Filter::Lanczos => FilterType::Lanczos3,
        };
        ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(false)
    }
}

fn refused(e: impl std::fmt::Display) -> Error {
    Error::invalid("an image to resize", e, "sizes that fit its pixels")
}

/// Bytes `[height, width, channels]` with 1 or 3 channels; sizes are (height, width).
///
/// Across first, then down, with bytes between, as Pillow does it: overshoot is clipped twice.
pub(crate) fn bytes(
    pixels: &[u8],
    channels: usize,
    from: [usize; 2],
    to: [usize; 2],
    filter: Filter,
) -> Result<Vec<u8>> {
    let across = pass(pixels, channels, from, [from[0], to[1]], filter)?;
    pass(&across, channels, [from[0], to[1]], to, filter)
}

fn pass(
    pixels: &[u8],
    channels: usize,
    from: [usize; 2],
    to: [usize; 2],
    filter: Filter,
) -> Result<Vec<u8>> {
    if from == to {
        return Ok(pixels.to_vec());
    }
    let kind = if channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let image = ImageRef::new(from[1] as u32, from[0] as u32, pixels, kind).map_err(refused)?;
    let mut out = Image::new(to[1] as u32, to[0] as u32, kind);
    Resizer::new().resize(&image, &mut out, &filter.options()).map_err(refused)?;
    Ok(out.into_vec())
}

/// Numbers `[channels, height, width]`, a plane at a time; sizes are (height, width).
pub(crate) fn planes(
    values: &[f32],
    from: [usize; 2],
    to: [usize; 2],
    filter: Filter,
) -> Result<Vec<f32>> {
    let (mut resizer, options) = (Resizer::new(), filter.options());
    let mut all = Vec::with_capacity(values.len() / (from[0] * from[1]).max(1) * to[0] * to[1]);
    for plane in values.chunks_exact((from[0] * from[1]).max(1)) {
        let plane: Vec<F32> = plane.iter().map(|&v| F32::new(v)).collect();
        let image =
            ImageRef::from_pixels(from[1] as u32, from[0] as u32, &plane).map_err(refused)?;
        let mut out = Image::new(to[1] as u32, to[0] as u32, PixelType::F32);
        resizer.resize(&image, &mut out, &options).map_err(refused)?;
        let (numbers, _) = out.buffer().as_chunks::<4>();
        all.extend(numbers.iter().map(|&bytes| f32::from_ne_bytes(bytes)));
    }
    Ok(all)
}
