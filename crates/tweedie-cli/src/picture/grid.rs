//! Images side by side.

use super::INK;
use super::canvas::{draw, failed, px, text};
use anyhow::{Result, ensure};
use image::{Rgb, RgbImage, imageops};
use plotters::element::Text;

/// Images of one size, `[n, channels, height, width]` in [−1, 1], row after row.
pub(crate) struct Images {
    /// The values; those outside [−1, 1] are clipped.
    pub(crate) values: Vec<f32>,
    /// 1 or 3; of any other number, as latents have, the first three are drawn, −3 to 3.
    pub(crate) channels: usize,
    /// In pixels.
    pub(crate) height: usize,
    /// In pixels.
    pub(crate) width: usize,
}

impl Images {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len() / (self.channels * self.height * self.width).max(1)
    }

    /// The image of that number.
    pub(crate) fn image(&self, index: usize) -> RgbImage {
        let plane = self.height * self.width;
        let scale = if matches!(self.channels, 1 | 3) { 1.0 } else { 1.0 / 3.0 };
        let image = &self.values[index * self.channels * plane..];
        RgbImage::from_fn(self.width as u32, self.height as u32, |x, y| {
            let at = y as usize * self.width + x as usize;
            let value = |c: usize| byte(scale * image[c.min(self.channels - 1) * plane + at]);
            Rgb([value(0), value(1), value(2)])
        })
    }
}

fn byte(value: f32) -> u8 {
    // `as` saturates, and makes 0 of what is not a number.
    ((value + 1.0) * 127.5).round() as u8
}

/// Draws the images row after row; `rows` says how many each has, `labels` names them.
///
/// Small images are enlarged: very small ones smoothly, since a person cannot read a digit in
/// 8 × 8 flat squares, larger ones by whole pixels.
pub(crate) fn grid(images: &Images, rows: &[usize], labels: Option<&[String]>) -> Result<RgbImage> {
    ensure!(images.channels > 0, "images without channels");
    let columns = rows.iter().copied().max().unwrap_or(0);
    ensure!(columns > 0 && rows.iter().sum::<usize>() == images.len(), "no images to draw");
    let zoom = (64 / images.height.max(images.width).max(1)).max(1);
    let (w, h) = ((images.width * zoom) as u32, (images.height * zoom) as u32);
    let label_width = labels.map_or(0, label_width);
    let width = 2 * MARGIN + label_width + columns as u32 * (w + GAP) - GAP;
    let height = 2 * MARGIN + rows.len() as u32 * (h + GAP) - GAP;
    let mut sheet = draw((width, height), |surface| {
        for (row, label) in labels.into_iter().flatten().enumerate() {
            let y = MARGIN + row as u32 * (h + GAP) + h / 2 - 8;
            let at = (px(MARGIN) as i32, px(y) as i32);
            surface.draw(&Text::new(label.clone(), at, text(14, INK))).map_err(failed)?;
        }
        Ok(())
    })?;
    let smooth = images.height.max(images.width) < 16;
    let filter =
        if smooth { imageops::FilterType::CatmullRom } else { imageops::FilterType::Nearest };
    let mut next = 0;
    for (row, &count) in rows.iter().enumerate() {
        for column in 0..count {
            let image = imageops::resize(&images.image(next), w, h, filter);
            let x = MARGIN + label_width + column as u32 * (w + GAP);
            let y = MARGIN + row as u32 * (h + GAP);
            imageops::replace(&mut sheet, &image, i64::from(x), i64::from(y));
            next += 1;
        }
    }
    Ok(sheet)
}

/// Pixels between images.
const GAP: u32 = 3;
/// Pixels around the sheet.
const MARGIN: u32 = 12;

/// Wide enough for the longest label at 14 pixels.
fn label_width(labels: &[String]) -> u32 {
    let longest = labels.iter().map(|l| l.chars().count()).max().unwrap_or(0);
    10 + 9 * longest as u32
}

/// Rows that make the sheet about square.
pub(crate) fn square(count: usize) -> Vec<usize> {
    let columns = (1..=count).find(|c| c * c >= count).unwrap_or(1);
    (0..count).step_by(columns).map(|first| columns.min(count - first)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_bytes() {
        assert_eq!([-2.0, -1.0, 0.0, 1.0, 9.0, f32::NAN].map(byte), [0, 0, 128, 255, 255, 0]);
    }

    #[test]
    fn images_stand_where_they_should() {
        let values = [[-1.0; 32 * 32], [1.0; 32 * 32]].concat();
        let images = Images { values, channels: 1, height: 32, width: 32 };
        let sheet = grid(&images, &[2], None).unwrap();
        assert_eq!(sheet.dimensions(), (24 + 64 + 3 + 64, 24 + 64));
        assert_eq!(sheet.get_pixel(20, 20).0, [0; 3]);
        assert_eq!(sheet.get_pixel(90, 20).0, [255; 3]);
        assert!(grid(&images, &[3], None).is_err());
        assert_eq!(square(0).len(), 0);
        assert_eq!((square(4), square(5)), (vec![2, 2], vec![3, 2]));
    }
}
