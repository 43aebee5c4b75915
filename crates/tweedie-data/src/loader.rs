//! Batches without end, in an order that depends on the seed alone.

use crate::{Batch, Dataset, Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use tch::{Device, Kind};
use tweedie_core::noise::philox::{self, Key};
use tweedie_torch::tensor;

/// A change of one sample in training, such as a flip: its numbers, and uniform numbers in (0, 1)
/// that belong to this sample and epoch.
pub type Map = Arc<dyn Fn(&mut [f32], &[f64; 4]) + Send + Sync>;

/// How a [`Loader`] goes through a set.
#[derive(Clone)]
pub struct LoaderConfig {
    /// Samples in a batch.
    pub batch_size: usize,
    /// Decides the order and what [`map`](Self::map) is given.
    pub seed: u64,
    /// A new order every epoch. If a batch holds the whole set, the order is left as it is.
    pub shuffle: bool,
    /// Leave out the last batch of an epoch if it is smaller.
    pub drop_last: bool,
    /// Batches made ahead on a thread of their own; 0 makes them when they are asked for.
    pub prefetch: usize,
    /// What to do to each sample, on all of rayon's threads.
    pub map: Option<Map>,
}

impl LoaderConfig {
    /// Shuffled batches of this size, made when they are asked for.
    pub fn new(batch_size: usize, seed: u64) -> Self {
        LoaderConfig { batch_size, seed, shuffle: true, drop_last: false, prefetch: 0, map: None }
    }
}

impl std::fmt::Debug for LoaderConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let LoaderConfig { batch_size, seed, shuffle, drop_last, prefetch, map } = self;
        f.debug_struct("LoaderConfig")
            .field("batch_size", batch_size)
            .field("seed", seed)
            .field("shuffle", shuffle)
            .field("drop_last", drop_last)
            .field("prefetch", prefetch)
            .field("map", &map.is_some())
            .finish()
    }
}

/// Where a loader is: with the seed, all there is to remember of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderState {
    /// Rounds through the set that are over.
    pub epoch: u64,
    /// Samples of this round that are over.
    pub position: usize,
}

/// An iterator over batches that never ends.
#[derive(Debug)]
pub struct Loader {
    maker: Maker,
    state: LoaderState,
    ahead: Option<Receiver<(Result<Batch>, LoaderState)>>,
}

impl Loader {
    /// A loader at the beginning of its first epoch.
    pub fn new(dataset: Dataset, config: LoaderConfig) -> Result<Self> {
        if config.batch_size == 0 {
            return Err(Error::invalid("batch_size", 0, "at least 1"));
        }
        if config.drop_last && config.batch_size > dataset.count() {
            let expected =
                format!("at most {}, the number of samples, with drop_last", dataset.count());
            return Err(Error::invalid("batch_size", config.batch_size, expected));
        }
        let maker = Maker { dataset, config, order: None };
        Ok(Loader { maker, state: LoaderState::default(), ahead: None })
    }

    /// Where it is: the next batch is the one after those that were handed out.
    pub fn state(&self) -> LoaderState {
        self.state
    }

    /// Goes on from a state of a loader with the same set and settings.
    pub fn resume(&mut self, state: LoaderState) -> Result<()> {
        if state.position >= self.maker.dataset.count() {
            let expected = format!("less than {}", self.maker.dataset.count());
            return Err(Error::invalid("the loader's position", state.position, expected));
        }
        self.ahead = None;
        self.state = state;
        Ok(())
    }

    /// The set.
    pub fn dataset(&self) -> &Dataset {
        &self.maker.dataset
    }

    /// Starts the thread that makes batches ahead of those that are handed out.
    fn run_ahead(&self) -> Receiver<(Result<Batch>, LoaderState)> {
        let (sender, receiver) = sync_channel(self.maker.config.prefetch);
        let (mut maker, mut state) = (self.maker.another(), self.state);
        // It ends when nobody receives any more.
        thread::spawn(move || {
            loop {
                let (batch, next) = maker.make(state);
                state = next;
                if sender.send((batch, next)).is_err() {
                    return;
                }
            }
        });
        receiver
    }
}

impl Iterator for Loader {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        let (batch, next) = if self.maker.config.prefetch == 0 {
            self.maker.make(self.state)
        } else {
            if self.ahead.is_none() {
                self.ahead = Some(self.run_ahead());
            }
            self.ahead.as_ref()?.recv().ok()?
        };
        self.state = next;
        Some(batch)
    }
}

/// Makes the batch that belongs to a state.
#[derive(Debug)]
struct Maker {
    dataset: Dataset,
    config: LoaderConfig,
    /// The order of one epoch.
    order: Option<(u64, Vec<i64>)>,
}

impl Maker {
    fn another(&self) -> Self {
        let order = self.order.clone();
        Maker { dataset: self.dataset.shallow_clone(), config: self.config.clone(), order }
    }

    fn make(&mut self, state: LoaderState) -> (Result<Batch>, LoaderState) {
        let (count, size) = (self.dataset.count(), self.config.batch_size);
        let end = (state.position + size).min(count);
        let over = end == count || (self.config.drop_last && end + size > count);
        let next = match over {
            true => LoaderState { epoch: state.epoch + 1, position: 0 },
            false => LoaderState { position: end, ..state },
        };
        if state.position == 0 && end == count && self.config.map.is_none() {
            return (Ok(self.dataset.all()), next);
        }
        let rows = self.order(state.epoch)[state.position..end].to_vec();
        (self.assemble(&rows, state.epoch), next)
    }

    fn assemble(&self, rows: &[i64], epoch: u64) -> Result<Batch> {
        let batch = self.dataset.rows(rows);
        let Some(map) = &self.config.map else { return Ok(batch) };
        let mut x = batch.x.to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
        let each = x.numel() / rows.len();
        let seed = self.config.seed;
        tensor::fill_f32(&mut x, |values| {
            values.par_chunks_mut(each).zip(rows).for_each(|(sample, &row)| {
                let mut uniform = [0.0; 4];
                let key = Key { seed, stream: stream::MAP, sample: row as u32, draw: epoch as u32 };
                philox::uniforms(key, &mut uniform);
                map(sample, &uniform);
            });
        })?;
        Ok(Batch { x: x.to_device(batch.x.device()), labels: batch.labels })
    }

    fn order(&mut self, epoch: u64) -> &[i64] {
        let stale = self.order.as_ref().is_none_or(|(of, _)| *of != epoch);
        if stale {
            let n = self.dataset.count();
            let order = match self.config.shuffle {
                true => permutation(n, self.config.seed, epoch),
                false => (0..n as i64).collect(),
            };
            self.order = Some((epoch, order));
        }
        self.order.as_ref().map_or(&[], |(_, order)| order)
    }
}

/// Streams of [`philox`] of this crate's own; 0 to 3 are `tweedie_core::noise::stream`'s.
mod stream {
    pub(super) const ORDER: u32 = 16;
    pub(super) const MAP: u32 = 17;
}

/// Fisher and Yates' shuffle of 0 … n − 1: a function of seed and epoch.
fn permutation(n: usize, seed: u64, epoch: u64) -> Vec<i64> {
    let mut uniform = vec![0.0; n];
    philox::uniforms(
        Key { seed, stream: stream::ORDER, sample: 0, draw: epoch as u32 },
        &mut uniform,
    );
    let mut order: Vec<i64> = (0..n as i64).collect();
    for i in (1..n).rev() {
        order.swap(i, ((i + 1) as f64 * uniform[i]) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::tensor::{from_f32, to_f32};

    fn numbers(n: usize) -> Dataset {
        let values: Vec<f32> = (0..n).map(|i| i as f32).collect();
        Dataset::new(from_f32(&values, &[n as i64, 1]).unwrap(), None).unwrap()
    }

    fn take(loader: &mut Loader, batches: usize) -> Vec<Vec<f32>> {
        loader.take(batches).map(|b| to_f32(&b.unwrap().x).unwrap()).collect()
    }

    #[test]
    fn every_sample_once_an_epoch_in_another_order() {
        let mut loader = Loader::new(numbers(10), LoaderConfig::new(4, 1)).unwrap();
        let epochs: Vec<Vec<f32>> = (0..3).map(|_| take(&mut loader, 3).concat()).collect();
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort_by(f32::total_cmp);
            assert_eq!(sorted, (0..10).map(|i| i as f32).collect::<Vec<_>>());
        }
        assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
    }

    #[test]
    fn drop_last_and_whole_sets() {
        let config = LoaderConfig { drop_last: true, shuffle: false, ..LoaderConfig::new(4, 1) };
        let mut loader = Loader::new(numbers(10), config).unwrap();
        assert_eq!(take(&mut loader, 3), [[0., 1., 2., 3.], [4., 5., 6., 7.], [0., 1., 2., 3.]]);
        let mut whole = Loader::new(numbers(3), LoaderConfig::new(100, 1)).unwrap();
        assert_eq!(take(&mut whole, 2), [[0., 1., 2.], [0., 1., 2.]]);
        assert_eq!(whole.state(), LoaderState { epoch: 2, position: 0 });
    }

    /// The order is the same ahead and on demand, and from any place on.
    #[test]
    fn a_loader_goes_on_where_it_was() {
        let all = take(&mut Loader::new(numbers(23), LoaderConfig::new(5, 7)).unwrap(), 20);
        for prefetch in [0, 1, 4] {
            let config = || LoaderConfig { prefetch, ..LoaderConfig::new(5, 7) };
            for cut in [0, 1, 5, 7, 13] {
                let mut first = Loader::new(numbers(23), config()).unwrap();
                assert_eq!(take(&mut first, cut), all[..cut]);
                let mut second = Loader::new(numbers(23), config()).unwrap();
                second.resume(first.state()).unwrap();
                assert_eq!(take(&mut second, 20 - cut), all[cut..], "from {cut}, {prefetch} ahead");
            }
        }
        let mut loader = Loader::new(numbers(3), LoaderConfig::new(2, 0)).unwrap();
        assert!(loader.resume(LoaderState { epoch: 0, position: 3 }).is_err());
    }

    /// What the map draws belongs to the sample and the epoch, not to the batch.
    #[test]
    fn maps_are_the_same_in_every_batch_size() {
        let map: Map = Arc::new(|x, u| x[0] += u[0] as f32);
        let run = |batch_size: usize, prefetch| {
            let config = LoaderConfig {
                prefetch,
                map: Some(map.clone()),
                ..LoaderConfig::new(batch_size, 3)
            };
            take(&mut Loader::new(numbers(12), config).unwrap(), 24 / batch_size).concat()
        };
        assert_eq!(run(4, 0), run(12, 0));
        assert_eq!(run(4, 0), run(3, 2));
        assert_ne!(run(12, 0)[..12], run(12, 0)[12..]);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Loader::new(numbers(3), LoaderConfig::new(0, 0)).is_err());
        let config = LoaderConfig { drop_last: true, ..LoaderConfig::new(4, 0) };
        assert!(Loader::new(numbers(3), config).is_err());
    }
}
