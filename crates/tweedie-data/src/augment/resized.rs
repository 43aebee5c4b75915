//! Images at another scale.

use super::{Augment, Chance, Sample, check_size, cut, image};
use crate::resize::{self, Filter};
use crate::{Error, Result};

/// The whole image at another size, anti-aliased (torchvision's `Resize` with both sides given).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resize {
    /// In pixels.
    pub height: usize,
    /// In pixels.
    pub width: usize,
    /// How pixels are weighed.
    pub filter: Filter,
}

impl Augment for Resize {
    fn shape(&self, shape: &[i64]) -> Result<Vec<i64>> {
        image(shape)?;
        check_size(self.height, self.width)?;
        Ok(vec![shape[0], self.height as i64, self.width as i64])
    }

    fn apply(&self, sample: &mut Sample, _: &mut Chance) -> Result<()> {
        let [c, h, w] = image(&sample.shape)?;
        let to = [self.height, self.width];
        if [h, w] != to {
            let values = resize::planes(&sample.values, [h, w], to, self.filter)?;
            *sample = Sample { values, shape: vec![c as i64, to[0] as i64, to[1] as i64] };
        }
        Ok(())
    }
}

/// A part of random area and shape, resized (torchvision's `RandomResizedCrop`; Szegedy et al.,
/// arXiv:1409.4842, section 6).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomResizedCrop {
    /// In pixels.
    pub height: usize,
    /// In pixels.
    pub width: usize,
    /// The part's area, least and most, as a fraction of the image's.
    pub scale: [f64; 2],
    /// The part's width over its height, least and most.
    pub ratio: [f64; 2],
    /// How pixels are weighed.
    pub filter: Filter,
}

impl RandomResizedCrop {
    /// torchvision's defaults: 8 to 100 % of the area, 3:4 to 4:3, bilinear.
    pub fn new(height: usize, width: usize) -> Self {
        let (scale, ratio) = ([0.08, 1.0], [3.0 / 4.0, 4.0 / 3.0]);
        RandomResizedCrop { height, width, scale, ratio, filter: Filter::Bilinear }
    }

    /// Corner (top, left) and size (height, width) of the part.
    fn part(&self, [h, w]: [usize; 2], chance: &mut Chance) -> ([usize; 2], [usize; 2]) {
        let area = (h * w) as f64;
        for _ in 0..10 {
            let part = area * chance.between(self.scale[0], self.scale[1]);
            let ratio = chance.between(self.ratio[0].ln(), self.ratio[1].ln()).exp();
            let width = (part * ratio).sqrt().round_ties_even() as usize;
            let height = (part / ratio).sqrt().round_ties_even() as usize;
            if (1..=w).contains(&width) && (1..=h).contains(&height) {
                let corner = [chance.below(h - height + 1), chance.below(w - width + 1)];
                return (corner, [height, width]);
            }
        }
        // Nothing fitted: what is nearest, in the middle.
        let whole = w as f64 / h as f64;
        let (height, width) = if whole < self.ratio[0] {
            ((w as f64 / self.ratio[0]).round_ties_even() as usize, w)
        } else if whole > self.ratio[1] {
            (h, (h as f64 * self.ratio[1]).round_ties_even() as usize)
        } else {
            (h, w)
        };
        let (height, width) = (height.clamp(1, h), width.clamp(1, w));
        ([(h - height) / 2, (w - width) / 2], [height, width])
    }
}

impl Augment for RandomResizedCrop {
    fn shape(&self, shape: &[i64]) -> Result<Vec<i64>> {
        image(shape)?;
        check_size(self.height, self.width)?;
        let [low, high] = self.scale;
        if !(low > 0.0 && low <= high && high <= 1.0) {
            let found = format!("{low} to {high}");
            return Err(Error::invalid("the scale of a crop", found, "0 < least ≤ most ≤ 1"));
        }
        let [low, high] = self.ratio;
        if !(low > 0.0 && low <= high && high.is_finite()) {
            let found = format!("{low} to {high}");
            return Err(Error::invalid("the ratio of a crop", found, "0 < least ≤ most"));
        }
        Ok(vec![shape[0], self.height as i64, self.width as i64])
    }

    fn apply(&self, sample: &mut Sample, chance: &mut Chance) -> Result<()> {
        let [_, h, w] = image(&sample.shape)?;
        let (corner, size) = self.part([h, w], chance);
        cut(sample, corner, size)?;
        let RandomResizedCrop { height, width, filter, .. } = *self;
        Resize { height, width, filter }.apply(sample, chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Area and shape are within bounds, and their means those of the uniform distributions.
    #[test]
    fn parts_are_what_was_asked_for() {
        let crop = RandomResizedCrop { scale: [0.25, 0.5], ..RandomResizedCrop::new(1, 1) };
        let (mut area, mut ratio, n) = (0.0, 0.0, 4000);
        for row in 0..n {
            let ([top, left], [h, w]) = crop.part([500, 400], &mut Chance::new(0, row, 0, 0));
            assert!(top + h <= 500 && left + w <= 400);
            let (a, r) = ((h * w) as f64 / 2e5, w as f64 / h as f64);
            // Rounding moves a side by half a pixel of at least 190.
            assert!((0.248..0.502).contains(&a) && (0.745..1.34).contains(&r), "{a} {r}");
            area += a / n as f64;
            ratio += r.ln() / n as f64;
        }
        // Standard errors: 0.25/√12/√4000 = 0.0011 and 0.575/√12/√4000 = 0.0026; four of them.
        assert!((area - 0.375).abs() < 0.0046 && ratio.abs() < 0.011, "{area} {ratio}");
    }

    #[test]
    fn what_cannot_fit_is_the_middle() {
        let crop = RandomResizedCrop { scale: [1.0, 1.0], ..RandomResizedCrop::new(1, 1) };
        let part = |size| crop.part(size, &mut Chance::new(0, 0, 0, 0));
        // Of 90 × 10 the widest allowed is 4:3 of the height, of 10 × 90 3:4 of it.
        assert_eq!(part([10, 90]), ([0, 38], [10, 13]));
        assert_eq!(part([90, 10]), ([38, 0], [13, 10]));
    }

    #[test]
    fn nonsense_is_refused() {
        let good = RandomResizedCrop::new(8, 8);
        assert_eq!(good.shape(&[3, 20, 30]).unwrap(), [3, 8, 8]);
        let bad = [
            RandomResizedCrop { scale: [0.0, 1.0], ..good },
            RandomResizedCrop { scale: [0.9, 0.5], ..good },
            RandomResizedCrop { scale: [0.5, 2.0], ..good },
            RandomResizedCrop { scale: [f64::NAN, 1.0], ..good },
            RandomResizedCrop { ratio: [0.0, 1.0], ..good },
            RandomResizedCrop { ratio: [1.0, f64::INFINITY], ..good },
            RandomResizedCrop { height: 0, ..good },
            RandomResizedCrop { width: 1 << 40, ..good },
        ];
        for crop in bad {
            assert!(crop.shape(&[3, 20, 30]).is_err(), "{crop:?}");
        }
        assert!(good.shape(&[64]).is_err());
    }
}
