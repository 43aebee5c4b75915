//! A surface of RGB pixels, drawn at twice the size.

use anyhow::{Context, Result, anyhow};
use image::{ImageFormat, RgbImage, imageops};
use plotters::prelude::*;
use std::io::Cursor;
use std::sync::OnceLock;

/// The name that the built-in font is known by.
pub(super) const FONT: &str = "sans-serif";
/// Pixels drawn for each pixel kept, in each direction.
pub(super) const SUPERSAMPLING: u32 = 2;

/// The surface that [`draw`] hands out: all sizes on it are [`SUPERSAMPLING`] times the final ones.
pub(super) type Surface<'a> = DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;

/// Scales a length in final pixels to the surface.
pub(super) fn px(length: u32) -> u32 {
    length * SUPERSAMPLING
}

/// Draws a white picture of `width` by `height` pixels with `paint`.
pub(super) fn draw(
    (width, height): (u32, u32),
    paint: impl FnOnce(&Surface<'_>) -> Result<()>,
) -> Result<RgbImage> {
    register_font()?;
    let (w, h) = (px(width), px(height));
    let mut pixels = vec![255; w as usize * h as usize * 3];
    {
        let surface = BitMapBackend::with_buffer(&mut pixels, (w, h)).into_drawing_area();
        paint(&surface)?;
        surface.present().map_err(failed)?;
    }
    let large = RgbImage::from_raw(w, h, pixels).context("a picture of the wrong size")?;
    Ok(imageops::thumbnail(&large, width, height))
}

/// A text style: size in final pixels.
pub(super) fn text(size: u32, color: RGBColor) -> TextStyle<'static> {
    (FONT, px(size)).into_font().color(&color)
}

/// plotters' errors borrow the backend's type; their words are all that is of use.
pub(super) fn failed(err: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing failed: {err}")
}

fn register_font() -> Result<()> {
    static DONE: OnceLock<bool> = OnceLock::new();
    const DEJAVU: &[u8] = include_bytes!("../../assets/DejaVuSans-subset.ttf");
    let register = || plotters::style::register_font(FONT, FontStyle::Normal, DEJAVU).is_ok();
    DONE.get_or_init(register).then_some(()).context("the built-in font cannot be read")
}

/// Two pictures side by side, centred vertically on white.
pub(crate) fn beside(left: &RgbImage, right: &RgbImage) -> RgbImage {
    let gap = 16;
    let height = left.height().max(right.height());
    let width = left.width() + gap + right.width();
    let mut both = RgbImage::from_pixel(width, height, image::Rgb([255; 3]));
    for (part, x) in [(left, 0), (right, left.width() + gap)] {
        let y = (height - part.height()) / 2;
        imageops::replace(&mut both, part, i64::from(x), i64::from(y));
    }
    both
}

/// A picture as the bytes of a PNG file.
pub(crate) fn png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).context("cannot encode a PNG")?;
    Ok(bytes.into_inner())
}
