//! Changes of samples in training, one after the other: [`LoaderConfig::maps`].
//!
//! What a map draws by chance is a function of the seed, the sample, the epoch and the map's
//! place in the list: not of batches, threads, or what the maps before it drew.
//!
//! ```
//! use std::sync::Arc;
//! use tweedie_data::augment::{HorizontalFlip, RandomCrop};
//! use tweedie_data::{Loader, LoaderConfig, digits};
//!
//! # fn main() -> tweedie_data::Result<()> {
//! let mut config = LoaderConfig::new(16, 0);
//! config.maps.push(Arc::new(HorizontalFlip { p: 0.5 }));
//! config.maps.push(Arc::new(RandomCrop { padding: 1, ..RandomCrop::new(8, 8) }));
//! let batch = Loader::new(digits::train()?, config)?.next().expect("a loader never ends")?;
//! assert_eq!(batch.x.size(), [16, 1, 8, 8]);
//! # Ok(())
//! # }
//! ```
//!
//! [`LoaderConfig::maps`]: crate::LoaderConfig::maps

mod crop;
mod flip;
mod resized;

pub use crop::{CenterCrop, RandomCrop};
pub use flip::HorizontalFlip;
pub use resized::{RandomResizedCrop, Resize};

use crate::{Error, Result};
use std::sync::Arc;
use tweedie_core::noise::philox::{self, Key};

/// A sample on its way into a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// As many numbers as the shape says, row after row.
    pub values: Vec<f32>,
    /// Without the batch; images are `[channels, height, width]`.
    pub shape: Vec<i64>,
}

/// A change of a sample. Closures of a sample and its chance are maps.
pub trait Augment: Send + Sync {
    /// The shape of what comes out of samples of this shape.
    ///
    /// # Errors
    /// For settings that make no sense, and shapes that it cannot take.
    fn shape(&self, shape: &[i64]) -> Result<Vec<i64>> {
        Ok(shape.to_vec())
    }

    /// Changes a sample whose shape [`shape`](Self::shape) took.
    ///
    /// # Errors
    /// As [`shape`](Self::shape).
    fn apply(&self, sample: &mut Sample, chance: &mut Chance) -> Result<()>;
}

/// A map of a loader.
pub type Map = Arc<dyn Augment>;

impl<F: Fn(&mut Sample, &mut Chance) + Send + Sync> Augment for F {
    fn apply(&self, sample: &mut Sample, chance: &mut Chance) -> Result<()> {
        self(sample, chance);
        Ok(())
    }
}

/// The random numbers that belong to one sample, epoch and map.
#[derive(Clone, Debug)]
pub struct Chance {
    key: Key,
    numbers: Vec<f64>,
    used: usize,
}

/// What philox makes in one go.
const NUMBERS: usize = 64;

impl Chance {
    /// Of the map at this place in the list.
    pub(crate) fn new(seed: u64, row: i64, epoch: u64, place: usize) -> Self {
        // Stream 17 is the maps' (`loader::stream` has the others); the place makes it the map's.
        let stream = 17 | (place as u32) << 8;
        let key = Key { seed, stream, sample: row as u32, draw: epoch as u32 };
        Chance { key, numbers: vec![], used: 0 }
    }

    /// A number in (0, 1).
    pub fn uniform(&mut self) -> f64 {
        if self.used == self.numbers.len() {
            // A longer stretch of the same numbers.
            self.numbers.resize((2 * self.numbers.len()).max(NUMBERS), 0.0);
            philox::uniforms(self.key, &mut self.numbers);
        }
        self.used += 1;
        self.numbers[self.used - 1]
    }

    /// A number between two.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// One of 0 … n − 1; 0 if there is none.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.uniform() * n as f64) as usize).min(n.saturating_sub(1))
    }
}

/// `[channels, height, width]` of an image.
fn image(shape: &[i64]) -> Result<[usize; 3]> {
    let sizes: Vec<usize> = shape.iter().filter_map(|&s| usize::try_from(s).ok()).collect();
    match sizes[..] {
        [c, h, w] if shape.len() == 3 && c * h * w > 0 => Ok([c, h, w]),
        _ => {
            let found = format!("{shape:?}");
            Err(Error::invalid("the shape of a sample", found, "[channels, height, width]"))
        }
    }
}

/// The largest side of what a map makes.
const LARGEST: usize = 1 << 14;

/// That both sides of a new size make sense.
fn check_size(height: usize, width: usize) -> Result<()> {
    let fits = |side| (1..=LARGEST).contains(&side);
    match fits(height) && fits(width) {
        true => Ok(()),
        false => {
            let found = format!("{height} × {width}");
            Err(Error::invalid("the size of an image", found, format!("sides of 1 to {LARGEST}")))
        }
    }
}

/// The part of a sample from (top, left) on.
fn cut(sample: &mut Sample, [top, left]: [usize; 2], [height, width]: [usize; 2]) -> Result<()> {
    let [c, h, w] = image(&sample.shape)?;
    let mut values = Vec::with_capacity(c * height * width);
    for plane in sample.values.chunks_exact(h * w) {
        for row in plane.chunks_exact(w).skip(top).take(height) {
            values.extend_from_slice(&row[left..left + width]);
        }
    }
    *sample = Sample { values, shape: vec![c as i64, height as i64, width as i64] };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_belongs_to_its_place_and_goes_on() {
        let take = |seed, row, epoch, place| {
            let mut chance = Chance::new(seed, row, epoch, place);
            (0..200).map(|_| chance.uniform()).collect::<Vec<_>>()
        };
        let one = take(1, 2, 3, 0);
        assert_eq!(one, take(1, 2, 3, 0));
        for other in [take(2, 2, 3, 0), take(1, 3, 3, 0), take(1, 2, 4, 0), take(1, 2, 3, 1)] {
            assert!(one.iter().zip(&other).all(|(a, b)| a != b));
        }
        assert!(one.iter().all(|u| (0.0..1.0).contains(u)));
        let mut sorted = one.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup();
        assert_eq!(sorted.len(), 200);
    }

    #[test]
    fn images_have_three_sizes() {
        assert_eq!(image(&[3, 2, 1]).unwrap(), [3, 2, 1]);
        for shape in [&[2_i64][..], &[1, 2], &[1, 2, 3, 4], &[1, 0, 2], &[1, -2, 3, 4]] {
            assert!(image(shape).is_err(), "{shape:?}");
        }
    }
}
