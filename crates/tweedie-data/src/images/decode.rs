//! From a file to pixels of the wanted size and colours.

use crate::resize::{self, Filter};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use serde::{Deserialize, Serialize};
use std::io::Cursor;
use std::path::Path;

/// Which part of an image is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Crop {
    /// The largest part of the wanted shape, in the middle; it is then resized.
    #[default]
    Center,
    /// All of it, stretched.
    None,
    /// All of it, as it is: an image of another size counts as broken.
    Exact,
}

/// What is wanted of each image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Height and width.
    pub(super) size: [usize; 2],
    pub(super) channels: usize,
    pub(super) crop: Crop,
    pub(super) filter: Filter,
    pub(super) background: [u8; 3],
}

/// The largest side that is read: a file claims what it likes.
const LARGEST_SIDE: u32 = 1 << 15;
/// The most memory that one image may take, in bytes.
const MOST_MEMORY: u64 = 256 << 20;
/// The largest file.
const LARGEST_FILE: u64 = 1 << 30;

/// Bytes `[height, width, channels]`, or what is wrong with the file.
pub(super) fn decode(path: &Path, wanted: &Wanted) -> Result<Vec<u8>, String> {
    let (pixels, size) = in_colours(&read(path)?, wanted);
    let (pixels, size) = match wanted.crop {
        Crop::Center => centre(pixels, size, wanted),
        Crop::Exact if size != wanted.size => {
            let ([h, w], [height, width]) = (size, wanted.size);
            return Err(format!("it is {h} × {w} pixels, expected {height} × {width}"));
        }
        Crop::None | Crop::Exact => (pixels, size),
    };
    if size == wanted.size {
        return Ok(pixels);
    }
    resize::bytes(&pixels, wanted.channels, size, wanted.size, wanted.filter)
        .map_err(|e| e.to_string())
}

/// Height and width of the image, upright.
pub(super) fn size(path: &Path) -> Result<[usize; 2], String> {
    let image = read(path)?;
    Ok([image.height() as usize, image.width() as usize])
}

/// The image, upright, whatever its colours.
fn read(path: &Path) -> Result<DynamicImage, String> {
    let length = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if length > LARGEST_FILE {
        return Err(format!("it has {length} bytes, expected at most {LARGEST_FILE}"));
    }
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let mut reader =
        ImageReader::new(Cursor::new(&bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let known = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP];
    if !reader.format().is_some_and(|format| known.contains(&format)) {
        return Err("it is no PNG, JPEG or WebP".to_owned());
    }
    if reader.format() == Some(ImageFormat::Jpeg) && !jpeg_is_whole(&bytes) {
        return Err(format!("the JPEG is cut off after {} bytes", bytes.len()));
    }
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    limits.reserve(decoder.total_bytes()).map_err(|_| {
        let (w, h) = decoder.dimensions();
        format!("{w} × {h} pixels take more than {MOST_MEMORY} bytes")
    })?;
    let orientation = decoder.orientation().map_err(|e| e.to_string())?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Whether the end of the image comes after its last scan: the decoder takes a file that is cut
/// off and leaves the rest grey. (A thumbnail has both markers too, before those of the image.)
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    const END: u8 = 0xD9;
    const SCAN: u8 = 0xDA;
    let last = |marker| bytes.windows(2).rposition(|pair| pair == [0xFF, marker]);
    bytes.ends_with(&[0xFF, END]) || last(END) > last(SCAN)
}

/// Bytes `[height, width, channels]` of an image of 8 bits a channel, and its height and width.
fn in_colours(image: &DynamicImage, wanted: &Wanted) -> (Vec<u8>, [usize; 2]) {
    let size = [image.height() as usize, image.width() as usize];
    let color = image.color();
    let pixels = match (color.has_alpha(), color.has_color(), wanted.channels) {
        (false, false, 1) => image.to_luma8().into_raw(),
        (false, _, 3) => image.to_rgb8().into_raw(),
        (false, _, _) => image.to_rgb8().as_chunks().0.iter().map(grey).collect(),
        (true, ..) => {
            let rgba = image.to_rgba8();
            let rgb = rgba.as_chunks().0.iter().map(|pixel| over(pixel, wanted.background));
            match wanted.channels {
                3 => rgb.flatten().collect(),
                _ => rgb.map(|pixel| grey(&pixel)).collect(),
            }
        }
    };
    (pixels, size)
}

/// Pillow's `L`: ITU-R 601 in 16 bits.
fn grey(&[r, g, b]: &[u8; 3]) -> u8 {
    let [r, g, b] = [r, g, b].map(u32::from);
    ((19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16) as u8
}

/// A pixel over a background.
fn over(&[r, g, b, a]: &[u8; 4], background: [u8; 3]) -> [u8; 3] {
    let a = u32::from(a);
    let mix = |top: u8, below: u8| {
        ((u32::from(top) * a + u32::from(below) * (255 - a) + 127) / 255) as u8
    };
    [mix(r, background[0]), mix(g, background[1]), mix(b, background[2])]
}

/// The largest part of the wanted shape, in the middle.
fn centre(pixels: Vec<u8>, [h, w]: [usize; 2], wanted: &Wanted) -> (Vec<u8>, [usize; 2]) {
    let [height, width] = wanted.size;
    // At most 2^15 × 2^13: no product overflows, not even in 32 bits.
    let size = if w * height > h * width {
        [h, (h * width / height).max(1)]
    } else {
        [(w * height / width).max(1), w]
    };
    if size == [h, w] {
        return (pixels, size);
    }
    let (top, left) = ((h - size[0]) / 2, (w - size[1]) / 2);
    let c = wanted.channels;
    let rows = pixels.chunks_exact(w * c).skip(top).take(size[0]);
    let part = rows.flat_map(|row| &row[left * c..(left + size[1]) * c]).copied().collect();
    (part, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(size: [usize; 2], channels: usize) -> Wanted {
        Wanted {
            size,
            channels,
            crop: Crop::Center,
            filter: Filter::Bicubic,
            background: [255, 0, 0],
        }
    }

    /// `Image.new("RGB", …).convert("L")` of Pillow.
    #[test]
    fn grey_is_pillows() {
        let cases = [([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([10, 20, 30], 18)];
        for (rgb, expected) in cases {
            assert_eq!(grey(&rgb), expected, "{rgb:?}");
        }
    }

    #[test]
    fn alpha_shows_what_is_behind() {
        assert_eq!(over(&[1, 2, 3, 255], [9; 3]), [1, 2, 3]);
        assert_eq!(over(&[1, 2, 3, 0], [9; 3]), [9; 3]);
        assert_eq!(over(&[0, 100, 200, 128], [255, 100, 0]), [127, 100, 100]);
    }

    #[test]
    fn the_middle_is_the_largest_part_of_the_shape() {
        let part = |from: [usize; 2], to| {
            let pixels: Vec<u8> = (0..from[0] * from[1]).map(|i| i as u8).collect();
            centre(pixels, from, &wanted(to, 1))
        };
        assert_eq!(part([2, 4], [8, 8]), (vec![1, 2, 5, 6], [2, 2]));
        assert_eq!(part([4, 2], [8, 8]), (vec![2, 3, 4, 5], [2, 2]));
        assert_eq!(part([3, 3], [9, 9]), ((0..9).collect(), [3, 3]));
        assert_eq!(part([4, 4], [1, 2]).1, [2, 4]);
        assert_eq!(part([1, 5], [100, 1]).1, [1, 1]);
    }
}
