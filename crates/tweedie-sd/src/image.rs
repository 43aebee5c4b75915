//! Pictures, as files and as tensors.

use crate::{Error, Result};
use image::{DynamicImage, ImageReader, Limits, RgbImage, imageops::FilterType};
use std::io::{BufWriter, Cursor};
use std::path::Path;
use tch::{Device, Kind, Tensor};
use tweedie_torch::{tensor, weights};

/// The largest side and the most memory of a picture that is read: a file claims what it likes.
const LARGEST_SIDE: u32 = 1 << 15;
const MOST_MEMORY: u64 = 1 << 30;

/// A picture of red, green and blue, a byte each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture(RgbImage);

impl Picture {
    /// Reads a PNG, JPEG or WebP. What is transparent loses its transparency, as in Pillow's
    /// `convert("RGB")`.
    ///
    /// # Errors
    /// If the file cannot be read, or is too large to be one that is meant.
    pub fn open(path: &Path) -> Result<Self> {
        let broken =
            |e: image::ImageError| Error::model(path, format!("no picture that can be read: {e}"));
        let file = std::fs::read(path).map_err(Error::file(path))?;
        let mut reader =
            ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(Error::file(path))?;
        let mut limits = Limits::no_limits();
        limits.max_image_width = Some(LARGEST_SIDE);
        limits.max_image_height = Some(LARGEST_SIDE);
        limits.max_alloc = Some(MOST_MEMORY);
        reader.limits(limits);
        Ok(Picture(reader.decode().map_err(broken)?.to_rgb8()))
    }

    /// Width and height.
    pub fn size(&self) -> (u32, u32) {
        self.0.dimensions()
    }

    /// The picture at another size (Lanczos).
    #[must_use]
    pub fn resized(&self, width: u32, height: u32) -> Self {
        match self.size() == (width, height) {
            true => self.clone(),
            false => {
                let image = DynamicImage::ImageRgb8(self.0.clone());
                Picture(image.resize_exact(width, height, FilterType::Lanczos3).to_rgb8())
            }
        }
    }

    /// `[1, 3, height, width]` in [−1, 1].
    ///
    /// # Errors
    /// If libtorch refuses.
    pub fn to_tensor(&self, device: Device) -> Result<Tensor> {
        let (width, height) = self.size();
        let pixels =
            tensor::from_u8(self.0.as_raw(), &[1, i64::from(height), i64::from(width), 3])?;
        let x = pixels.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?.f_contiguous()?;
        Ok(x.f_div_scalar(255.0)?.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?.f_to_device(device)?)
    }

    /// `[1, 1, height, width]`: 1 where the picture is at least half bright, else 0.
    ///
    /// # Errors
    /// If libtorch refuses.
    pub fn to_mask(&self, device: Device) -> Result<Tensor> {
        let (width, height) = self.size();
        let grey = DynamicImage::ImageRgb8(self.0.clone()).to_luma8();
        let pixels = tensor::from_u8(grey.as_raw(), &[1, 1, i64::from(height), i64::from(width)])?;
        Ok(pixels.f_ge(128)?.f_to_kind(Kind::Float)?.f_to_device(device)?)
    }

    /// The pictures of a batch `[n, 3, height, width]` in about [−1, 1], rounded to the nearest of 256
    /// values as diffusers does it.
    ///
    /// # Errors
    /// If the shape is another.
    pub fn from_batch(x: &Tensor) -> Result<Vec<Self>> {
        let size = x.size();
        let (&[n, 3, height, width], true) = (&size[..], size.len() == 4) else {
            return Err(Error::shape("pictures", "[n, 3, height, width]", &size));
        };
        let unit =
            x.f_to_kind(Kind::Float)?.f_div_scalar(2.0)?.f_add_scalar(0.5)?.f_clamp(0.0, 1.0)?;
        let bytes =
            unit.f_mul_scalar(255.0)?.f_round()?.f_to_kind(Kind::Uint8)?.f_permute([0, 2, 3, 1])?;
        let picture = |i| -> Result<Self> {
            let pixels = tensor::to_u8(&bytes.f_narrow(0, i, 1)?)?;
            let image = RgbImage::from_raw(width as u32, height as u32, pixels);
            image
                .map(Picture)
                .ok_or_else(|| Error::shape("pictures", "sides that fit in 32 bits", &size))
        };
        (0..n).map(picture).collect()
    }

    /// Writes a PNG with notes (`tEXt` where they are Latin, `iTXt` else), whole or not at all.
    ///
    /// # Errors
    /// If the system refuses, or a note has a keyword that PNG does not take.
    pub fn save(&self, path: &Path, notes: &[(String, String)]) -> Result<()> {
        let wrong = |e: png::EncodingError| Error::model(path, format!("cannot be written: {e}"));
        let mut bytes = vec![];
        let (width, height) = self.size();
        let mut encoder = png::Encoder::new(BufWriter::new(&mut bytes), width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        for (key, text) in notes {
            match text.chars().all(|c| c != '\0' && u32::from(c) < 256) {
                true => encoder.add_text_chunk(key.clone(), text.clone()).map_err(wrong)?,
                false => encoder
                    .add_itxt_chunk(key.clone(), text.replace('\0', "\u{fffd}"))
                    .map_err(wrong)?,
            }
        }
        let mut writer = encoder.write_header().map_err(wrong)?;
        writer.write_image_data(self.0.as_raw()).map_err(wrong)?;
        writer.finish().map_err(wrong)?;
        Ok(weights::atomically(path, |file| std::io::Write::write_all(file, &bytes))?)
    }
}
