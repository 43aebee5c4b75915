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
        self.prepare(run, &[(1.0 / sigma, run.x()), (-alpha / sigma, x0)])
    }

    /// Works out another estimate.
    pub(crate) fn prepare(&mut self, run: &Run<'_>, terms: &[(f64, &Tensor)]) -> Result<()> {
        if self.capacity > 0 {
            run.combine(&mut self.spare, terms)?;
        }
        Ok(())
    }

    /// Remembers what was [prepared](Self::prepare), as of `level`.
    pub(crate) fn push_prepared(&mut self, level: NoiseLevel) {
        if let Some(eps) = self.spare.take() {
            self.past.push_front((level, eps));
        }
        if self.past.len() > self.capacity {
            self.spare = self.past.pop_back().map(|(_, oldest)| oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_core::{Grid, Noise};

    /// Three places for two past estimates and the present one, however long the run.
    #[test]
    fn noise_estimates_are_written_where_the_oldest_was() {
        let grid = Grid::from_sigmas(&[4.0, 2.0]).unwrap();
        let x = Tensor::from_slice(&[1.0, 2.0, 3.0]);
        let denoiser = |x: &Tensor, _: NoiseLevel| -> Result<Tensor> { Ok(x * 0.5) };
        let run = Run::new(&denoiser, x, &grid, Noise::replay([])).unwrap();
        let (mut past, mut places) = (History::new(2), std::collections::BTreeSet::new());
        let mut kept = vec![];
        for i in 0..20 {
            past.prepare_eps(&run, &run.denoise().unwrap()).unwrap();
            past.push_prepared(NoiseLevel::ve(f64::from(20 - i)));
            places.extend(past.past.iter().map(|(_, eps)| eps.data_ptr() as usize));
            kept.push(run.x().copy()); // takes what would have been let go of
        }
        assert_eq!((past.len(), places.len()), (2, 3));
        assert_eq!(past.levels().map(|l| l.sigma).collect::<Vec<_>>(), [1.0, 2.0]);
        let (weight, eps) = past.weighted(&[7.0])[0];
        assert_eq!((weight, eps.double_value(&[2])), (7.0, 3.0 * 0.5 / 4.0));
    }
}
