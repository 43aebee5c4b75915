//! Sources of Gaussian noise. All are explicit: no global generator is ever touched.
//!
//! - [`Noise::seeded`]: a number is a function of seed, sample and step. Sample 17 is the same
//!   alone, in a batch of 64, or on rank 3 of 8, on every device and with any number of threads.
//! - [`Noise::per_sample`]: the same with a seed for each sample.
//! - [`Noise::brownian`]: increments of a path that is the same at every step size, for SDEs.
//! - [`Noise::torch`]: the stream of PyTorch's CPU generator, for whoever wants *their* picture.
//! - [`Noise::replay`]: given tensors, for tests.

mod brownian;
mod normal;
pub mod philox;

pub use brownian::clock;
pub use normal::normals;

use crate::{Error, Result};
use normal::{GROUP, normals_from};
use philox::Key;
use std::collections::VecDeque;
use tch::{Device, Kind, Tensor};
use tweedie_schedules::NoiseLevel;
use tweedie_torch::{rng::Generator, tensor};

/// The streams of the library's own uses of [`philox`]: a number of 8 bits.
pub mod stream {
    /// Noise of samplers. Above the 8 bits stands which of a step's draws it is.
    pub const SAMPLING: u32 = 0;
    /// Noise added to data in training.
    pub const TRAINING: u32 = 1;
    /// Noise levels drawn in training.
    pub const LEVELS: u32 = 2;
    /// Dropped labels.
    pub const LABELS: u32 = 3;
    /// Nodes of the Brownian tree.
    pub const BROWNIAN: u32 = 4;
}

/// A source of standard normal tensors.
#[derive(Debug)]
pub struct Noise {
    source: Source,
    first: u32,
}

#[derive(Debug)]
enum Source {
    Keyed { seeds: Seeds, path: Option<brownian::Path> },
    Torch(Generator),
    Replay { tensors: VecDeque<Tensor>, drawn: usize },
}

#[derive(Debug)]
enum Seeds {
    One(u64),
    Each(Vec<u64>),
}

impl Seeds {
    /// The seed and the sample number of sample `i`.
    fn of(&self, i: usize, first: u32) -> (u64, u32) {
        match self {
            Seeds::One(seed) => (*seed, first.wrapping_add(i as u32)),
            Seeds::Each(seeds) => (seeds[first as usize + i], 0),
        }
    }

    fn check(&self, batch: usize, first: u32) -> Result<()> {
        let Seeds::Each(seeds) = self else { return Ok(()) };
        let there = seeds.len().saturating_sub(first as usize);
        if there >= batch {
            return Ok(());
        }
        Err(Error::invalid("the number of seeds", there, format!("at least {batch}, one a sample")))
    }
}

/// Which noise of a run is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// The step, counted from 0.
    pub step: usize,
    /// Which draw of that step, counted from 0.
    pub nth: usize,
    /// The way that the noise is for, from one level to another: a Brownian source gives the
    /// increment of its path. `None` where the noise has no place on that way; then it gives numbers
    /// of their own, as the other sources always do.
    pub between: Option<(NoiseLevel, NoiseLevel)>,
}

/// The starting tensor's draw; that of step i is i + 1.
const INITIAL: u32 = 0;

impl Noise {
    /// Noise keyed by seed, sample and step.
    pub fn seeded(seed: u64) -> Self {
        Self::keyed(Seeds::One(seed), false)
    }

    /// Noise keyed by a seed for each sample and the step: sample i of the batch is what
    /// [`seeded`](Self::seeded) with `seeds[i]` gives first.
    pub fn per_sample(seeds: impl Into<Vec<u64>>) -> Self {
        Self::keyed(Seeds::Each(seeds.into()), false)
    }

    /// The increments of a Brownian path over the noise levels, divided by their standard deviation.
    ///
    /// The path belongs to the seed and the sample and does not know the steps: the same seed
    /// with 20 and with 200 steps follows one path, so that a sampler of an SDE converges to *its*
    /// solution, and increments over neighbouring intervals sum to the one over both. The starting
    /// tensor, and noise that has no place on the way ([`Draw::between`]), is that of
    /// [`seeded`](Self::seeded). Steps should be longer than 1/8192 of the [`clock`]; between
    /// closer levels increments still have unit variance but are not independent.
    pub fn brownian(seed: u64) -> Self {
        Self::keyed(Seeds::One(seed), true)
    }

    /// [`brownian`](Self::brownian) with a seed for each sample.
    pub fn brownian_per_sample(seeds: impl Into<Vec<u64>>) -> Self {
        Self::keyed(Seeds::Each(seeds.into()), true)
    }

    fn keyed(seeds: Seeds, brownian: bool) -> Self {
        let path = brownian.then(Default::default);
        Noise { source: Source::Keyed { seeds, path }, first: 0 }
    }

    /// The numbers that `torch.randn(…, generator=torch.Generator().manual_seed(seed))` gives,
    /// one draw after the other. They depend on the order and size of the draws.
    pub fn torch(seed: u64) -> Result<Self> {
        Ok(Noise { source: Source::Torch(Generator::new(seed)?), first: 0 })
    }

    /// The given tensors, one a draw; running out is an error.
    pub fn replay(tensors: impl IntoIterator<Item = Tensor>) -> Self {
        let tensors = tensors.into_iter().collect();
        Noise { source: Source::Replay { tensors, drawn: 0 }, first: 0 }
    }

    /// The batch begins with sample `first` of the run: for batches after the first, and ranks.
    pub fn from_sample(mut self, first: u32) -> Self {
        if let Source::Keyed { path: Some(path), .. } = &mut self.source {
            path.forget();
        }
        Noise { first, ..self }
    }

    /// The tensor that sampling starts from, of unit variance: `shape` is `[batch, …]`.
    pub fn initial(&mut self, shape: &[i64], kind: Kind, device: Device) -> Result<Tensor> {
        check(shape, kind)?;
        let mut out = Tensor::empty(shape, (kind, device));
        self.draw(INITIAL, stream::SAMPLING, None, &mut out)?;
        Ok(out)
    }

    /// The first noise of a step in the shape of `like`, written into `buffer` where that is free.
    pub fn step<'b>(
        &mut self,
        step: usize,
        like: &Tensor,
        buffer: &'b mut Option<Tensor>,
    ) -> Result<&'b Tensor> {
        self.at(Draw { step, nth: 0, between: None }, like, buffer)
    }

    /// The noise of a draw in the shape of `like`, written into `buffer` where that is free.
    pub fn at<'b>(
        &mut self,
        at: Draw,
        like: &Tensor,
        buffer: &'b mut Option<Tensor>,
    ) -> Result<&'b Tensor> {
        let fits =
            |b: &Tensor| b.size() == like.size() && b.kind() == like.kind() && tensor::is_unique(b);
        let mut out = match buffer.take() {
            Some(b) if fits(&b) => b,
            _ => {
                check(&like.size(), like.kind())?;
                Tensor::empty(like.size(), (like.kind(), like.device()))
            }
        };
        let stream = stream::SAMPLING | (at.nth as u32) << 8;
        self.draw(at.step as u32 + 1, stream, at.between, &mut out)?;
        Ok(buffer.insert(out))
    }

    fn draw(
        &mut self,
        draw: u32,
        stream: u32,
        between: Option<(NoiseLevel, NoiseLevel)>,
        out: &mut Tensor,
    ) -> Result<()> {
        let (batch, first) = (out.size()[0] as usize, self.first);
        match &mut self.source {
            Source::Keyed { seeds, path } => {
                seeds.check(batch, first)?;
                let seeds = &*seeds;
                match (path, between) {
                    (Some(path), Some((a, b))) => {
                        path.increment(clock(a), clock(b), |i| seeds.of(i, first), out)
                    }
                    _ => fill_samples(out, |i, from, values| {
                        let (seed, sample) = seeds.of(i, first);
                        normals_from(Key { seed, stream, sample, draw }, from, values);
                    }),
                }
            }
            Source::Torch(generator) => {
                *out = generator.normal(&out.size(), out.kind())?.to_device(out.device());
                Ok(())
            }
            Source::Replay { tensors, drawn } => {
                let next = tensors.pop_front().ok_or(Error::NoiseExhausted(*drawn))?;
                if next.size() != out.size() {
                    return Err(Error::shape(
                        "replayed noise",
                        format!("{:?}", out.size()),
                        &next.size(),
                    ));
                }
                *drawn += 1;
                *out = next.to_device(out.device()).to_kind(out.kind());
                Ok(())
            }
        }
    }
}

fn check(shape: &[i64], kind: Kind) -> Result<()> {
    if shape.is_empty() || shape.iter().any(|&n| n < 0) {
        return Err(Error::shape("noise", "[batch, …]", shape));
    }
    if shape[0] > i64::from(u32::MAX) {
        return Err(Error::invalid("batch", shape[0], "at most 4294967295"));
    }
    match kind {
        Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16 => Ok(()),
        _ => Err(Error::invalid("the kind of noise", format!("{kind:?}"), "a floating-point kind")),
    }
}

/// A large sample is cut in up to so many parts, for threads to share.
const MOST_PARTS: usize = 16;
/// What is worth a thread.
const LEAST_PART: usize = 1 << 12;

/// Fills `[batch, …]`: `f` gets the sample's number in the batch, where in the sample its part begins,
/// and the part. The numbers are those of single precision whatever the kind, so that a sample is the
/// same picture in every kind.
fn fill_samples(out: &mut Tensor, f: impl Fn(usize, usize, &mut [f32]) + Sync) -> Result<()> {
    let batch = out.size()[0].max(1) as usize;
    let each = out.numel() / batch;
    let whole = |parts: &usize| each.is_multiple_of(parts * GROUP) && each / parts >= LEAST_PART;
    let parts = (1..=MOST_PARTS).rev().find(whole).filter(|_| out.is_contiguous()).unwrap_or(1);
    if parts == 1 {
        return Ok(tensor::fill_rows_f32(out, |i, values| f(i, 0, values))?);
    }
    let part = each / parts;
    let view = out.f_view([(batch * parts) as i64, part as i64]);
    let mut view = view.map_err(tweedie_torch::Error::from)?;
    let of_part = |i: usize, values: &mut [f32]| f(i / parts, i % parts * part, values);
    Ok(tensor::fill_rows_f32(&mut view, of_part)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: Device = Device::Cpu;

    fn bits(t: &Tensor) -> Vec<f32> {
        tensor::to_f32(t).unwrap()
    }

    /// The promise of the crate: no sample depends on its batch.
    #[test]
    fn a_sample_is_the_same_alone_in_a_batch_and_on_a_rank() {
        for each in [2, 5, 64, 16384] {
            let whole = Noise::seeded(9).initial(&[8, each], Kind::Float, CPU).unwrap();
            for k in 0..8 {
                let alone = Noise::seeded(9).from_sample(k).initial(&[1, each], Kind::Float, CPU);
                assert_eq!(bits(&alone.unwrap()), bits(&whole.narrow(0, k.into(), 1)));
            }
        }
    }

    /// Nor on how many threads make it.
    #[test]
    fn threads_change_no_bit() {
        let run = |threads: i32| {
            std::thread::spawn(move || {
                tch::set_num_threads(threads);
                bits(&Noise::seeded(9).initial(&[33, 5000], Kind::Float, CPU).unwrap())
            })
            .join()
            .unwrap()
        };
        let one = run(1);
        for threads in [2, 3, 7] {
            assert!(run(threads) == one, "{threads} threads");
        }
    }

    /// Cut in parts or not, a sample has the numbers of its key in their order.
    #[test]
    fn parts_of_a_sample_make_the_whole() {
        for each in [5000, 8192, 16384, 3 * 4096] {
            let mut expected = vec![0.0; each];
            for kind in [Kind::Float, Kind::Double] {
                let x = Noise::seeded(9).initial(&[2, each as i64], kind, CPU).unwrap();
                let key = Key { seed: 9, stream: stream::SAMPLING, sample: 1, draw: INITIAL };
                normals(key, &mut expected);
                assert_eq!(bits(&x.get(1)), expected);
            }
        }
    }

    #[test]
    fn steps_differ_and_a_buffer_is_reused() {
        let mut noise = Noise::seeded(1);
        let x = noise.initial(&[2, 3], Kind::Float, CPU).unwrap();
        let mut buffer = None;
        let first = bits(noise.step(0, &x, &mut buffer).unwrap());
        let place = buffer.as_ref().map(Tensor::data_ptr);
        let second = bits(noise.step(1, &x, &mut buffer).unwrap());
        assert_eq!(place, buffer.as_ref().map(Tensor::data_ptr));
        assert!(first != second && first != bits(&x));
        let held = buffer.as_ref().unwrap().shallow_clone();
        noise.step(2, &x, &mut buffer).unwrap();
        assert_eq!(bits(&held), second, "a tensor that somebody holds does not change");
    }

    #[test]
    fn one_seed_a_sample() {
        let both = Noise::per_sample([5, 6]).initial(&[2, 4], Kind::Float, CPU).unwrap();
        let six = Noise::seeded(6).initial(&[1, 4], Kind::Float, CPU).unwrap();
        assert_eq!(bits(&both.narrow(0, 1, 1)), bits(&six));
        let err = Noise::per_sample([5]).initial(&[2, 4], Kind::Float, CPU).unwrap_err();
        assert!(err.to_string().contains("the number of seeds is 1"), "{err}");
    }

    #[test]
    fn kinds_hold_the_same_numbers() {
        let single = Noise::seeded(5).initial(&[2, 4], Kind::Float, CPU).unwrap();
        let double = Noise::seeded(5).initial(&[2, 4], Kind::Double, CPU).unwrap();
        assert_eq!(double.kind(), Kind::Double);
        assert_eq!(bits(&single), bits(&double));
        assert!(Noise::seeded(5).initial(&[2], Kind::Int64, CPU).is_err());
    }

    #[test]
    fn replay_checks_shapes_and_runs_out() {
        let zeros = || Tensor::zeros([2, 2], tch::kind::FLOAT_CPU);
        let mut noise = Noise::replay([zeros()]);
        assert!(noise.initial(&[2, 2], Kind::Float, CPU).is_ok());
        assert!(matches!(noise.initial(&[2, 2], Kind::Float, CPU), Err(Error::NoiseExhausted(1))));
        assert!(Noise::replay([zeros()]).initial(&[3, 2], Kind::Float, CPU).is_err());
    }
}
