//! Mirror images.

use super::{Augment, Chance, Sample, image};
use crate::{Error, Result};

/// Swaps left and right with probability `p` (torchvision's `RandomHorizontalFlip`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HorizontalFlip {
    /// How often, from 0 to 1.
    pub p: f64,
}

impl Augment for HorizontalFlip {
    fn shape(&self, shape: &[i64]) -> Result<Vec<i64>> {
        if !(0.0..=1.0).contains(&self.p) {
            return Err(Error::invalid("the probability of a flip", self.p, "0 to 1"));
        }
        image(shape).map(|_| shape.to_vec())
    }

    fn apply(&self, sample: &mut Sample, chance: &mut Chance) -> Result<()> {
        let [_, _, width] = image(&sample.shape)?;
        if chance.uniform() < self.p {
            sample.values.chunks_exact_mut(width).for_each(<[f32]>::reverse);
        }
        Ok(())
    }
}
