//! Dropout whose masks follow from a seed and their place in the network.

use std::cell::Cell;
use tch::Tensor;
use tweedie_torch::Result;
use tweedie_torch::rng::{Generator, dropout_mask};

/// The masks of one pass through a part of the network: each has a key of its own, which is the
/// same when the part is run again. Without a seed nothing drops.
#[derive(Debug)]
pub(super) struct Dropout {
    seed: Option<u64>,
    next: Cell<u64>,
}

impl Dropout {
    /// The seed of a pass as in training, if there is a generator to ask for it.
    pub(super) fn seed(rng: Option<&mut Generator>) -> Result<Option<u64>> {
        let draw = |rng: &mut Generator| Ok(rng.below(1 << 53, &[1])?.int64_value(&[0]) as u64);
        rng.map(draw).transpose()
    }

    /// For the part at this place, which has fewer than 2³² masks.
    pub(super) fn new(seed: Option<u64>, place: usize) -> Self {
        Dropout { seed, next: Cell::new((place as u64) << 32) }
    }

    /// Each number is 0 with this probability, else divided by the rest of it.
    pub(super) fn apply(&self, x: Tensor, probability: f64) -> Result<Tensor> {
        let key = self.next.replace(self.next.get() + 1);
        match self.seed {
            Some(seed) if probability > 0.0 => Ok(&x * dropout_mask(&x, probability, [seed, key])?),
            _ => Ok(x),
        }
    }
}
