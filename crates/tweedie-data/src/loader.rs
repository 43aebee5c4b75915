//! Batches without end, in an order that depends on the seed alone.

use crate::augment::{Chance, Map, Sample};
use crate::{Batch, Error, Result, Source};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use tch::Tensor;
use tweedie_core::noise::philox::{self, Key};
use tweedie_torch::tensor;

/// How a [`Loader`] goes through a set.
#[derive(Clone)]
pub struct LoaderConfig {
    /// Samples in a batch.
    pub batch_size: usize,
    /// Decides the order and what [`maps`](Self::maps) are given.
    pub seed: u64,
    /// A new order every epoch. If a batch holds the whole set, the order is left as it is.
    pub shuffle: bool,
    /// Leave out the last batch of an epoch if it is smaller.
    pub drop_last: bool,
    /// Batches made ahead on a thread of their own; 0 makes them when they are asked for.
    pub prefetch: usize,
    /// What to do to each sample, one after the other, on all of rayon's threads.
    pub maps: Vec<Map>,
    /// The shape of a sample in a batch, such as a flat one for an MLP; its own if none.
    pub shape: Option<Vec<i64>>,
    /// Whether batches have the labels of the set.
    pub labels: bool,
}

impl LoaderConfig {
    /// Shuffled batches of this size, made when they are asked for, with labels if there are any.
    pub fn new(batch_size: usize, seed: u64) -> Self {
        LoaderConfig {
            batch_size,
            seed,
            shuffle: true,
            drop_last: false,
            prefetch: 0,
            maps: vec![],
            shape: None,
            labels: true,
        }
    }

    /// That the settings go with a set, and the shape of what the maps make of a sample.
    fn check(&self, source: &dyn Source) -> Result<Vec<i64>> {
        let (count, size) = (source.count(), self.batch_size);
        if size == 0 {
            return Err(Error::invalid("batch_size", 0, "at least 1"));
        }
        if self.drop_last && size > count {
            let expected = format!("at most {count}, the number of samples, with drop_last");
            return Err(Error::invalid("batch_size", size, expected));
        }
        let mapped = self.maps.iter().try_fold(source.sample_shape(), |s, map| map.shape(&s))?;
        let (found, needed) =
            (self.shape.as_deref().unwrap_or(&mapped), tensor::elements(&mapped)?);
        if tensor::elements(found)? != needed {
            let (found, expected) =
                (format!("{found:?}"), format!("the {needed} numbers of {mapped:?}"));
            return Err(Error::invalid("the shape of a sample", found, expected));
        }
        Ok(mapped)
    }
}

impl std::fmt::Debug for LoaderConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoaderConfig")
            .field("batch_size", &self.batch_size)
            .field("seed", &self.seed)
            .field("shuffle", &self.shuffle)
            .field("drop_last", &self.drop_last)
            .field("prefetch", &self.prefetch)
            .field("maps", &self.maps.len())
            .field("shape", &self.shape)
            .field("labels", &self.labels)
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
    ///
    /// # Errors
    /// For settings that do not go with the set.
    pub fn new(source: impl Source + 'static, config: LoaderConfig) -> Result<Self> {
        let mapped = config.check(&source)?;
        let maker = Maker { source: Box::new(source), config, mapped, order: None };
        Ok(Loader { maker, state: LoaderState::default(), ahead: None })
    }

    /// Where it is: the next batch is the one after those that were handed out.
    pub fn state(&self) -> LoaderState {
        self.state
    }

    /// Goes on from a state of a loader with the same set and settings.
    pub fn resume(&mut self, state: LoaderState) -> Result<()> {
        if state.position >= self.dataset().count() {
            let expected = format!("less than {}", self.dataset().count());
            return Err(Error::invalid("the loader's position", state.position, expected));
        }
        self.ahead = None;
        self.state = state;
        Ok(())
    }

    /// Makes the next batch and throws it away, so that what is wrong with its data is told now.
    ///
    /// # Errors
    /// Those that the batch would have.
    pub fn check(&self) -> Result<()> {
        self.maker.another().make(self.state).0.map(|_| ())
    }

    /// The set.
    pub fn dataset(&self) -> &dyn Source {
        &*self.maker.source
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
    source: Box<dyn Source>,
    config: LoaderConfig,
    /// The shape of a sample after the maps.
    mapped: Vec<i64>,
    /// The order of one epoch.
    order: Option<(u64, Vec<i64>)>,
}

impl Maker {
    fn another(&self) -> Self {
        let (config, mapped) = (self.config.clone(), self.mapped.clone());
        Maker { source: self.source.share(), config, mapped, order: self.order.clone() }
    }

    fn make(&mut self, state: LoaderState) -> (Result<Batch>, LoaderState) {
        let (count, size) = (self.source.count(), self.config.batch_size);
        let end = (state.position + size).min(count);
        let over = end == count || (self.config.drop_last && end + size > count);
        let next = match over {
            true => LoaderState { epoch: state.epoch + 1, position: 0 },
            false => LoaderState { position: end, ..state },
        };
        if state.position == 0 && end == count && self.config.maps.is_empty() {
            return (self.source.whole().and_then(|batch| self.shaped(batch)), next);
        }
        let rows = self.order(state.epoch)[state.position..end].to_vec();
        (self.assemble(&rows, state.epoch), next)
    }

    fn assemble(&self, rows: &[i64], epoch: u64) -> Result<Batch> {
        let batch = self.source.batch(rows)?;
        if self.config.maps.is_empty() {
            return self.shaped(batch);
        }
        let x = self.map(&batch.x, rows, epoch)?.to_device(batch.x.device());
        self.shaped(Batch { x, ..batch })
    }

    /// The batch as the settings want it.
    fn shaped(&self, batch: Batch) -> Result<Batch> {
        let x = match &self.config.shape {
            Some(shape) => {
                let shape = [&batch.x.size()[..1], shape].concat();
                batch.x.f_reshape(shape).map_err(tweedie_torch::Error::from)?
            }
            None => batch.x,
        };
        Ok(Batch { x, labels: batch.labels.filter(|_| self.config.labels) })
    }

    /// Every map on every sample, in the host's memory.
    fn map(&self, x: &Tensor, rows: &[i64], epoch: u64) -> Result<Tensor> {
        let (shape, values) = (&x.size()[1..], tensor::to_f32(x)?);
        let (from, to) = (tensor::elements(shape)?, tensor::elements(&self.mapped)?);
        let (maps, seed, mapped) = (&self.config.maps, self.config.seed, &self.mapped);
        let one = |(values, &row): (&[f32], &i64)| -> Result<Vec<f32>> {
            let mut sample = Sample { values: values.to_vec(), shape: shape.to_vec() };
            for (place, map) in maps.iter().enumerate() {
                map.apply(&mut sample, &mut Chance::new(seed, row, epoch, place))?;
            }
            match sample.values.len() == to && sample.shape == *mapped {
                true => Ok(sample.values),
                false => {
                    let found = format!("{} of {:?}", sample.values.len(), sample.shape);
                    let expected = format!("{to} of {mapped:?}, as its shape() says");
                    Err(Error::invalid("what a map made", found, expected))
                }
            }
        };
        let samples: Vec<Vec<f32>> =
            values.par_chunks(from).zip(rows).map(one).collect::<Result<_>>()?;
        let shape = [&[rows.len() as i64], &mapped[..]].concat();
        Ok(tensor::from_f32(&samples.concat(), &shape)?)
    }

    fn order(&mut self, epoch: u64) -> &[i64] {
        let stale = self.order.as_ref().is_none_or(|(of, _)| *of != epoch);
        if stale {
            let n = self.source.count();
            let order = match self.config.shuffle {
                true => permutation(n, self.config.seed, epoch),
                false => (0..n as i64).collect(),
            };
            self.order = Some((epoch, order));
        }
        self.order.as_ref().map_or(&[], |(_, order)| order)
    }
}

/// The stream of [`philox`] that orders use; 17 is the maps', 18 the toy sets', and 0 to 3 are
/// `tweedie_core::noise::stream`'s.
const STREAM: u32 = 16;

/// Fisher and Yates' shuffle of 0 … n − 1: a function of seed and epoch.
fn permutation(n: usize, seed: u64, epoch: u64) -> Vec<i64> {
    let mut uniform = vec![0.0; n];
    philox::uniforms(Key { seed, stream: STREAM, sample: 0, draw: epoch as u32 }, &mut uniform);
    let mut order: Vec<i64> = (0..n as i64).collect();
    for i in (1..n).rev() {
        order.swap(i, ((i + 1) as f64 * uniform[i]) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;
    use std::sync::Arc;
    use tweedie_torch::tensor::{from_f32, from_i64, to_f32};

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
        let map: Map = Arc::new(|x: &mut Sample, u: &mut Chance| x.values[0] += u.uniform() as f32);
        let run = |batch_size: usize, prefetch| {
            let config = LoaderConfig {
                prefetch,
                maps: vec![map.clone(), map.clone()],
                ..LoaderConfig::new(batch_size, 3)
            };
            take(&mut Loader::new(numbers(12), config).unwrap(), 24 / batch_size).concat()
        };
        assert_eq!(run(4, 0), run(12, 0));
        assert_eq!(run(4, 0), run(3, 2));
        assert_ne!(run(12, 0)[..12], run(12, 0)[12..]);
    }

    #[test]
    fn batches_have_the_shape_and_the_labels_that_are_wanted() {
        let set = || {
            let labels = from_i64(&[0, 1, 2], &[3]).unwrap();
            Dataset::new(from_f32(&[0.0; 12], &[3, 1, 2, 2]).unwrap(), Some(labels)).unwrap()
        };
        for batch_size in [2, 3] {
            let flat = LoaderConfig {
                shape: Some(vec![4]),
                labels: false,
                ..LoaderConfig::new(batch_size, 0)
            };
            let batch = Loader::new(set(), flat).unwrap().next().unwrap().unwrap();
            assert_eq!(batch.x.size(), [batch_size as i64, 4]);
            assert!(batch.labels.is_none());
        }
        let wrong = LoaderConfig { shape: Some(vec![5]), ..LoaderConfig::new(2, 0) };
        let error = Loader::new(set(), wrong).unwrap_err().to_string();
        assert!(error.contains("[5]") && error.contains("[1, 2, 2]"), "{error}");
    }

    #[test]
    fn a_map_that_does_not_keep_its_word_is_an_error() {
        let map: Map = Arc::new(|x: &mut Sample, _: &mut Chance| x.values.push(0.0));
        let config = LoaderConfig { maps: vec![map], ..LoaderConfig::new(2, 0) };
        let error = Loader::new(numbers(3), config).unwrap().next().unwrap().unwrap_err();
        assert!(error.to_string().contains("what a map made"), "{error}");
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Loader::new(numbers(3), LoaderConfig::new(0, 0)).is_err());
        let config = LoaderConfig { drop_last: true, ..LoaderConfig::new(4, 0) };
        assert!(Loader::new(numbers(3), config).is_err());
    }
}
