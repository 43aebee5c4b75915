//! Dropout whose masks follow from a seed and their place in the network.

use std::cell::Cell;
use tch::Tensor;
use tweedie_torch::Result;
use tweedie_torch::rng::{Generator, dropout_mask};

/// One pass through a network: each mask of it has a key of its own. Without a seed nothing drops.
#[derive(Debug)]
pub(super) struct Dropout {
    seed: Option<u64>,
    next: Cell<u64>,
}

impl Dropout {
    /// As in training if there is a generator, which is asked for one seed.
    pub(super) fn new(rng: Option<&mut Generator>) -> Result<Self> {
        let seed = match rng {
            None => None,
            Some(rng) => Some(rng.below(1 << 53, &[1])?.int64_value(&[0]) as u64),
        };
        Ok(Dropout { seed, next: Cell::new(0) })
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
