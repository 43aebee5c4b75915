//! Parts of an image, at its own scale.

use super::{Augment, Chance, Sample, check_size, cut, image};
use crate::{Error, Result};

/// A part of this size from anywhere, each place as likely (torchvision's `RandomCrop`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomCrop {
    /// In pixels.
    pub height: usize,
    /// In pixels.
    pub width: usize,
    /// So many pixels are first added on each side.
    pub padding: usize,
    /// What they are filled with; −1 is black.
    pub fill: f32,
}

impl RandomCrop {
    /// Without padding.
    pub fn new(height: usize, width: usize) -> Self {
        RandomCrop { height, width, padding: 0, fill: -1.0 }
    }
}

/// The part of this size in the middle (torchvision's `CenterCrop`, without its padding).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CenterCrop {
    /// In pixels.
    pub height: usize,
    /// In pixels.
    pub width: usize,
}

/// The shape of a part, which must fit.
fn part(shape: &[i64], [height, width]: [usize; 2], padding: usize) -> Result<Vec<i64>> {
    let [_, h, w] = image(shape)?;
    check_size(height, width)?;
    let padding = padding.checked_mul(2).filter(|&p| p <= 2 * h.max(w));
    let Some(padding) = padding else {
        return Err(Error::invalid("the padding", "too large", "at most the image's own size"));
    };
    if height > h + padding || width > w + padding {
        let expected = format!("at most {} × {}, the image", h + padding, w + padding);
        return Err(Error::invalid("the size of a crop", format!("{height} × {width}"), expected));
    }
    Ok(vec![shape[0], height as i64, width as i64])
}

impl Augment for RandomCrop {
    fn shape(&self, shape: &[i64]) -> Result<Vec<i64>> {
        part(shape, [self.height, self.width], self.padding)
    }

    fn apply(&self, sample: &mut Sample, chance: &mut Chance) -> Result<()> {
        let [_, h, w] = image(&sample.shape)?;
        let p = self.padding;
        let top = chance.below(h + 2 * p - self.height + 1);
        let left = chance.below(w + 2 * p - self.width + 1);
        pad(sample, p, self.fill)?;
        cut(sample, [top, left], [self.height, self.width])
    }
}

impl Augment for CenterCrop {
    fn shape(&self, shape: &[i64]) -> Result<Vec<i64>> {
        part(shape, [self.height, self.width], 0)
    }

    fn apply(&self, sample: &mut Sample, _: &mut Chance) -> Result<()> {
        let [_, h, w] = image(&sample.shape)?;
        // torchvision rounds half to even here.
        let middle = |spare: usize| (spare as f64 / 2.0).round_ties_even() as usize;
        let corner = [middle(h - self.height), middle(w - self.width)];
        cut(sample, corner, [self.height, self.width])
    }
}

fn pad(sample: &mut Sample, padding: usize, fill: f32) -> Result<()> {
    let [c, h, w] = image(&sample.shape)?;
    if padding == 0 {
        return Ok(());
    }
    let (height, width) = (h + 2 * padding, w + 2 * padding);
    let mut values = vec![fill; c * height * width];
    for (to, from) in values.chunks_exact_mut(height * width).zip(sample.values.chunks(h * w)) {
        let rows = to.chunks_exact_mut(width).skip(padding);
        for (to, from) in rows.zip(from.chunks_exact(w)) {
            to[padding..padding + w].copy_from_slice(from);
        }
    }
    *sample = Sample { values, shape: vec![c as i64, height as i64, width as i64] };
    Ok(())
}
