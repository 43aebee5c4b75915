//! Files for the tests.

use std::path::{Path, PathBuf};

/// A name, the bytes, and a word of the error.
pub(crate) type Row = (&'static str, Vec<u8>, &'static str);

pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

pub(crate) fn npy_file(descr: &str, shape: &str, fortran: &str, data: &[u8]) -> Vec<u8> {
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

/// What Pillow and torchvision made (`tests/golden/make_images.py`).
pub(crate) fn golden() -> serde_json::Value {
    serde_json::from_str(include_str!("../golden/images.json")).unwrap()
}

/// A file or pixels out of [`golden`].
pub(crate) fn bytes(golden: &serde_json::Value) -> Vec<u8> {
    serde_json::from_value(golden.clone()).unwrap()
}

/// Ramps and a grid, as `pattern` of the script.
pub(crate) fn pattern(height: u32, width: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([0, 1, 2].map(|c| (x * 5 + y * 3 + c * 40 + (x * y) % 17) as u8))
    })
}

/// An image as the bytes of a file.
pub(crate) fn encoded(
    image: impl Into<image::DynamicImage>,
    format: image::ImageFormat,
) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(vec![]);
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A PNG file of one colour.
pub(crate) fn png(side: u32, colour: [u8; 3]) -> Vec<u8> {
    encoded(image::RgbImage::from_pixel(side, side, image::Rgb(colour)), image::ImageFormat::Png)
}
