//! The loss on data that are set aside, at fixed levels and with fixed noise.

use crate::objective::{Draw, noise_like};
use crate::{Error, Objective, Result};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::noise::philox;
use tweedie_core::{Cond, NoiseLevel};
use tweedie_data::Batch;
use tweedie_models::Trainable;

/// What a run is judged by on its way. The same weights always give the same numbers: two runs,
/// and two steps of one run, can be compared.
#[derive(Debug)]
pub struct Validation {
    x: Tensor,
    labels: Option<Tensor>,
    levels: Vec<NoiseLevel>,
    seed: u64,
    batch_size: usize,
}

/// What came out of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationReport {
    /// Steps taken.
    pub step: u64,
    /// The mean over the levels: what the training's loss is an estimate of, but for a weighting
    /// that is learnt.
    pub loss: f64,
    /// The levels, least noise first.
    pub levels: Vec<LevelLoss>,
}

/// The loss at a level, weighted as in training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelLoss {
    /// Weight of the data.
    pub alpha: f64,
    /// Standard deviation of the noise.
    pub sigma: f64,
    /// The mean over the samples.
    pub loss: f64,
}

/// Streams of random numbers of this module's own.
const NOISE: u32 = 32;
const SPLIT: u32 = 33;

impl Validation {
    /// Judges by these data, at `levels` levels that cut the distribution of `objective` into
    /// equally likely parts (the middle of each), with the noise of `seed`.
    ///
    /// # Errors
    /// If there are no data, no levels or empty batches.
    pub fn new(
        data: Batch,
        objective: &Objective,
        levels: usize,
        seed: u64,
        batch_size: usize,
    ) -> Result<Self> {
        for (what, n) in [("levels", levels), ("the batch size", batch_size)] {
            if n == 0 {
                return Err(Error::invalid(what, 0, "at least 1"));
            }
        }
        if data.x.size().first().is_none_or(|&n| n == 0) {
            return Err(Error::invalid("the number of samples", 0, "at least 1"));
        }
        let middle = |i: usize| objective.levels.level((i as f64 + 0.5) / levels as f64);
        let levels = (0..levels).map(middle).collect();
        Ok(Validation { x: data.x, labels: data.labels, levels, seed, batch_size })
    }

    /// The loss of `network`, without dropout; none if `go_on` said no between two batches.
    pub(crate) fn report(
        &self,
        network: &dyn Trainable,
        objective: &Objective,
        step: u64,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<ValidationReport>> {
        let _guard = tch::no_grad_guard();
        let mut levels = Vec::with_capacity(self.levels.len());
        for (i, &level) in self.levels.iter().enumerate() {
            let Some(loss) = self.at(network, objective, (i, level), go_on)? else {
                return Ok(None);
            };
            levels.push(LevelLoss { alpha: level.alpha, sigma: level.sigma, loss });
        }
        let loss = levels.iter().map(|l| l.loss).sum::<f64>() / levels.len() as f64;
        Ok(Some(ValidationReport { step, loss, levels }))
    }

    fn at(
        &self,
        network: &dyn Trainable,
        objective: &Objective,
        (number, level): (usize, NoiseLevel),
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<f64>> {
        let device = network.parameters().device();
        let count = self.x.size()[0] as usize;
        let mut sum = 0.0;
        for first in (0..count).step_by(self.batch_size) {
            if !go_on() {
                return Ok(None);
            }
            let n = self.batch_size.min(count - first);
            let part = |t: &Tensor| t.narrow(0, first as i64, n as i64).to_device(device);
            let x0 = part(&self.x);
            let cond = self.labels.as_ref().map(|labels| Cond::labels(part(labels)));
            let draw = Draw { seed: self.seed, index: (number as u64) << 24 | first as u64 };
            let eps = noise_like(&x0, draw, NOISE)?;
            let example = objective.example_at(&x0, &vec![level; n], &eps)?;
            let output = network.forward(&example.input, &example.noise, cond.as_ref())?;
            let loss =
                f64::try_from(&example.loss(&output).0).map_err(tweedie_torch::Error::from)?;
            sum += loss * n as f64 / count as f64;
        }
        Ok(Some(sum))
    }
}

/// The rows that are learnt from and the rows that are set aside, `aside` of them, of a set of
/// `count`: a function of the seed.
///
/// # Errors
/// Unless both have at least one.
pub fn split(count: usize, aside: usize, seed: u64) -> Result<(Vec<i64>, Vec<i64>)> {
    if aside == 0 || aside >= count {
        return Err(Error::invalid("samples set aside", aside, "at least 1, and not all"));
    }
    let mut uniform = vec![0.0; count];
    philox::uniforms(philox::Key { seed, stream: SPLIT, sample: 0, draw: 0 }, &mut uniform);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| uniform[a].total_cmp(&uniform[b]).then(a.cmp(&b)));
    let sorted = |rows: &[usize]| {
        let mut rows: Vec<i64> = rows.iter().map(|&r| r as i64).collect();
        rows.sort_unstable();
        rows
    };
    Ok((sorted(&order[aside..]), sorted(&order[..aside])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_is_a_partition_that_the_seed_decides() {
        let (train, aside) = split(100, 30, 1).unwrap();
        let mut all = [train.clone(), aside.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<i64>>());
        assert_eq!((aside.len(), split(100, 30, 1).unwrap()), (30, (train, aside.clone())));
        assert_ne!(split(100, 30, 2).unwrap().1, aside);
        assert!(split(10, 0, 0).is_err() && split(10, 10, 0).is_err());
    }
}
