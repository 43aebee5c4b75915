//! Images as parts of the page itself.

use crate::picture::grid::Images;
use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use image::{DynamicImage, ImageFormat, imageops};
use maud::{Markup, html};
use std::io::Cursor;

/// Pixels of a side beyond which an image is shown smaller: the page has to stay small.
const MOST: u32 = 96;

/// The image of that number, enlarged by whole pixels to a side of about `size`.
pub(super) fn img(images: &Images, index: usize, size: u32, alt: &str) -> Result<Markup> {
    let mut image = images.image(index);
    let longer = image.width().max(image.height()).max(1);
    if longer > MOST {
        let part = |side: u32| (side * MOST / longer).max(1);
        image = imageops::thumbnail(&image, part(image.width()), part(image.height()));
    }
    let (width, height) = image.dimensions();
    let zoom = (f64::from(size) / f64::from(width.max(height).max(1))).round().max(1.0) as u32;
    let image = DynamicImage::from(image);
    let image = if images.channels == 1 { image.into_luma8().into() } else { image };
    Ok(html! {
        img src=(data_uri(&image)?) alt=(alt) width=(width * zoom) height=(height * zoom);
    })
}

fn data_uri(image: &DynamicImage) -> Result<String> {
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png).context("cannot encode a PNG")?;
    Ok(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png.into_inner())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(channels: usize, side: usize) -> Images {
        Images { values: vec![0.5; channels * side * side], channels, height: side, width: side }
    }

    #[test]
    fn small_images_grow_by_whole_pixels_and_large_ones_shrink() {
        let side = |side, size| {
            let html = img(&images(3, side), 0, size, "a\"b").unwrap().into_string();
            assert!(html.contains("alt=\"a&quot;b\""), "{html}");
            let width = html.split("width=\"").nth(1).unwrap().split('"').next().unwrap();
            width.parse::<u32>().unwrap()
        };
        assert_eq!(
            [side(8, 56), side(28, 56), side(32, 56), side(64, 56), side(500, 56)],
            [56, 56, 64, 64, 96]
        );
    }

    #[test]
    fn grey_images_stay_grey_in_the_file() {
        let uri = |channels| img(&images(channels, 8), 0, 8, "").unwrap().into_string();
        let bytes = |html: String| {
            let data = html.split("base64,").nth(1).unwrap().split('"').next().unwrap().to_owned();
            image::load_from_memory(&BASE64_STANDARD.decode(data).unwrap()).unwrap()
        };
        assert_eq!(bytes(uri(1)).color(), image::ColorType::L8);
        assert_eq!(bytes(uri(4)).color(), image::ColorType::Rgb8);
        assert_eq!(bytes(uri(1)).to_luma8().get_pixel(0, 0).0, [191]);
    }
}
