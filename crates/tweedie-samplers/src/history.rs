//! What a multistep solver remembers.

use crate::Run;
use std::collections::VecDeque;
use tch::Tensor;
use tweedie_core::{NoiseLevel, Result};

/// The estimates of past steps with the levels that they were made at, newest first.
///
/// Estimates of data are the denoiser's own tensors and are shared with whoever holds them;
/// estimates of noise are written into the memory of the oldest one, so that nothing is allocated
/// once the ring is full.
pub(crate) struct History {
    past: VecDeque<(NoiseLevel, Tensor)>,
    capacity: usize,
    spare: Option<Tensor>,
}

impl History {
    /// Room for `capacity` past estimates.
    pub(crate) fn new(capacity: usize) -> Self {
        History { past: VecDeque::with_capacity(capacity + 1), capacity, spare: None }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.past.len()
    }

    /// The levels, newest first.
    pub(crate) fn levels(&self) -> impl Iterator<Item = NoiseLevel> + '_ {
        self.past.iter().map(|(level, _)| *level)
    }

    /// Each weight with the estimate that it is for, newest first; the rest is left out.
    pub(crate) fn weighted(&self, weights: &[f64]) -> Vec<(f64, &Tensor)> {
        weights.iter().copied().zip(self.past.iter().map(|(_, estimate)| estimate)).collect()
    }

    /// Remembers an estimate of the data.
    pub(crate) fn push(&mut self, level: NoiseLevel, x0: &Tensor) {
        self.past.push_front((level, x0.shallow_clone()));
        self.past.truncate(self.capacity);
    }

    /// Works out the noise estimate `(x − alpha·x0)/sigma` of the state, while it is there.
    pub(crate) fn prepare_eps(&mut self, run: &Run<'_>, x0: &Tensor) -> Result<()> {
        let NoiseLevel { alpha, sigma } = run.level();
        if self.capacity > 0 {
            run.combine(&mut self.spare, &[(1.0 / sigma, run.x()), (-alpha / sigma, x0)])?;
        }
        Ok(())
    }

    /// Remembers what [`prepare_eps`](Self::prepare_eps) worked out, as of `level`.
    pub(crate) fn push_prepared(&mut self, level: NoiseLevel) {
        if let Some(eps) = self.spare.take() {
            self.past.push_front((level, eps));
        }
        if self.past.len() > self.capacity {
            self.spare = self.past.pop_back().map(|(_, oldest)| oldest);
        }
    }
}
