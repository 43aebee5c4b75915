//! How the classifier is trained: cross entropy, AdamW, a cosine to 0, images a little turned,
//! scaled and shifted.

use super::{Accuracy, Classifier};
use crate::{Error, Result};
use serde::Serialize;
use std::f64::consts::PI;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};
use tweedie_data::augment::{Chance, Sample};
use tweedie_data::{Dataset, Loader, LoaderConfig, Map};
use tweedie_torch::optim::{AdamW, AdamWConfig};
use tweedie_torch::{autograd, tensor};

/// The settings of [`train`]. With one thread the same settings give the same weights, to the bit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TrainConfig {
    /// Steps; each takes a batch.
    pub steps: usize,
    /// Images of a step.
    pub batch_size: usize,
    /// Learning rate at its highest.
    pub lr: f64,
    /// Of the weights, in units of the learning rate.
    pub weight_decay: f64,
    /// Decides the first weights, the order and how images are turned.
    pub seed: u64,
}

impl TrainConfig {
    /// What suits a set of so many images: about thirty rounds through a small one, three through
    /// a large one.
    pub fn usual(count: usize) -> Self {
        let batch_size = if count < 10_000 { 64 } else { 128 };
        let steps = (30 * count / batch_size).clamp(100, 800).max(3 * count / batch_size);
        TrainConfig { steps, batch_size, lr: 2e-3, weight_decay: 0.05, seed: 0 }
    }
}

/// Trains a classifier on labelled images, `[n, channels, height, width]`. `progress` hears the
/// steps that are done, and of how many.
///
/// # Errors
/// If the images have no labels or no fit shape, there is one class only, a setting makes no
/// sense, or the loss stops being finite.
pub fn train(
    data: &Dataset,
    config: &TrainConfig,
    mut progress: impl FnMut(usize, usize),
) -> Result<Classifier> {
    config.check()?;
    let shape = image_shape(data)?;
    let device = data.samples().device();
    let mut classifier = Classifier::new(shape, class_count(data)?, config.seed, device)?;
    let params: Vec<Tensor> = classifier.parameters.tensors().map(Tensor::shallow_clone).collect();
    let params: Vec<&Tensor> = params.iter().collect();
    let settings = AdamWConfig { weight_decay: config.weight_decay, ..Default::default() };
    let mut optimizer = AdamW::new(params.iter().copied(), settings)?;
    // Images are turned on the host, whatever the network is on.
    let on_host = data.to_device(Device::Cpu)?;
    let mut loader = Loader::new(on_host, loader_config(config, shape, data.count()))?;
    for step in 0..config.steps {
        let batch = loader.next().ok_or_else(no_labels)??;
        let labels = batch.labels.ok_or_else(no_labels)?.f_to_device(device)?;
        let loss =
            classifier.logits(&batch.x.f_to_device(device)?)?.cross_entropy_for_logits(&labels);
        if !tensor::all_finite(&loss.detach())? {
            return Err(Error::NotFinite("the loss of the classifier"));
        }
        let grads = autograd::grad(&loss, &params)?;
        let grads: Vec<&Tensor> = grads.iter().collect();
        optimizer.step(&params, &grads, config.rate(step))?;
        progress(step + 1, config.steps);
    }
    classifier.settle()?;
    Ok(classifier)
}

/// How many of the labelled images of `set` a classifier gets right.
///
/// # Errors
/// If they have no labels, or another shape.
pub fn accuracy(classifier: &Classifier, set: &Dataset) -> Result<Accuracy> {
    const BATCH: i64 = 256;
    let labels = set.labels().ok_or_else(no_labels)?;
    let (count, mut right) = (set.count() as i64, 0);
    for first in (0..count).step_by(BATCH as usize) {
        let rows: Vec<i64> = (first..count.min(first + BATCH)).collect();
        let found = classifier.classify(&set.rows(&rows).x)?;
        let labels = labels.narrow(0, first, rows.len() as i64).to_device(found.device());
        right += found.eq_tensor(&labels).sum(Kind::Int64).int64_value(&[]);
    }
    Ok(Accuracy { count: count as usize, right: right as usize })
}

impl TrainConfig {
    fn check(&self) -> Result<()> {
        if self.steps == 0 || self.batch_size == 0 {
            let found = format!("{} and {}", self.steps, self.batch_size);
            return Err(Error::invalid(
                "steps and batch_size of a classifier",
                found,
                "at least 1",
            ));
        }
        match self.lr.is_finite() && self.lr > 0.0 {
            true => Ok(()),
            false => Err(Error::invalid("the lr of a classifier", self.lr, "a positive number")),
        }
    }

    /// Up over the first twentieth, then down along a cosine.
    fn rate(&self, step: usize) -> f64 {
        let done = (step as f64 + 0.5) / self.steps as f64;
        let warm = (done * 20.0).min(1.0);
        self.lr * warm * 0.5 * (1.0 + (PI * done).cos())
    }
}

fn loader_config(config: &TrainConfig, [_, height, width]: [i64; 3], count: usize) -> LoaderConfig {
    let batch_size = config.batch_size.min(count);
    let sides = [height as usize, width as usize];
    let map: Map = Arc::new(move |image: &mut Sample, chance: &mut Chance| {
        warp(&mut image.values, sides, &[0; 4].map(|_| chance.uniform()));
    });
    LoaderConfig { drop_last: true, maps: vec![map], ..LoaderConfig::new(batch_size, config.seed) }
}

/// The largest turn, either way, in radians: ten degrees.
const TURN: f64 = 10.0 / 180.0 * PI;
/// The largest change of size.
const SCALE: f64 = 0.1;
/// The largest shift, in sides: three quarters of a pixel of 8.
const SHIFT: f64 = 0.75 / 8.0;

/// Turns, scales and shifts an image by four uniform numbers in (0, 1), with bilinear pixels; what
/// comes in repeats the edge.
fn warp(image: &mut [f32], [height, width]: [usize; 2], u: &[f64; 4]) {
    let [turn, scale, down, right] = u.map(|u| 2.0 * u - 1.0);
    let (sin, cos) = (turn * TURN).sin_cos();
    let scale = 1.0 + scale * SCALE;
    let half = |side: usize| (side as f64 - 1.0) / 2.0;
    let (down, right) = (down * SHIFT * height as f64, right * SHIFT * width as f64);
    let mut from = vec![0.0; height * width];
    for channel in image.chunks_mut(height * width) {
        from.copy_from_slice(channel);
        for y in 0..height {
            for x in 0..width {
                let (dy, dx) = (y as f64 - half(height), x as f64 - half(width));
                let at_y = scale * (cos * dy + sin * dx) + down + half(height);
                let at_x = scale * (cos * dx - sin * dy) + right + half(width);
                channel[y * width + x] = pixel(&from, [height, width], at_y, at_x);
            }
        }
    }
}

/// The value between four pixels.
fn pixel(from: &[f32], [height, width]: [usize; 2], y: f64, x: f64) -> f32 {
    let within = |at: f64, side: usize| {
        let at = at.clamp(0.0, (side - 1) as f64);
        let low = at as usize;
        (low, (low + 1).min(side - 1), (at - low as f64) as f32)
    };
    let ((top, bottom, part_y), (left, right, part_x)) = (within(y, height), within(x, width));
    let row = |y: usize| {
        let (a, b) = (from[y * width + left], from[y * width + right]);
        a + part_x * (b - a)
    };
    row(top) + part_y * (row(bottom) - row(top))
}

/// The shape of an image of the set.
pub(super) fn image_shape(data: &Dataset) -> Result<[i64; 3]> {
    let shape = data.sample_shape();
    let image = <[i64; 3]>::try_from(&shape[..]).ok();
    image.ok_or_else(|| Error::shape("an image", "[channels, height, width]", &shape))
}

/// The number of classes of the set, whose labels must be 0 or more.
pub(super) fn class_count(data: &Dataset) -> Result<i64> {
    let labels = data.labels().ok_or_else(no_labels)?;
    let least = labels.min().int64_value(&[]);
    if least < 0 {
        return Err(Error::invalid("a label", least, "at least 0"));
    }
    data.classes().ok_or_else(no_labels)
}

fn no_labels() -> Error {
    Error::invalid("the labels of a set to classify", "none", "one for each image")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_data::digits;
    use tweedie_torch::runtime::Runtime;
    use tweedie_torch::tensor::{from_f32, to_f32};

    #[test]
    fn an_image_is_moved_and_its_edge_repeated() {
        let start = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
        let (mut still, mut moved, mut turned) = (start, start, start);
        warp(&mut still, [3, 3], &[0.5; 4]);
        assert_eq!(still, start);
        warp(&mut moved, [3, 3], &[0.5, 0.5, 1.0, 0.5]);
        for (k, value) in moved.iter().enumerate() {
            // Rows are 3 apart.
            let expected = (start[k] + 3.0 * 3.0 * SHIFT as f32).min(start[6 + k % 3]);
            assert!((value - expected).abs() < 1e-6, "{moved:?}");
        }
        // By ten degrees: the middle stays.
        warp(&mut turned, [3, 3], &[1.0, 0.5, 0.5, 0.5]);
        assert_eq!(turned[4], 5.0);
        let expected = 5.0 - TURN.cos() * 3.0 + TURN.sin();
        assert!((f64::from(turned[1]) - expected).abs() < 1e-6, "{turned:?}");
    }

    #[test]
    fn the_rate_rises_and_ends_near_zero() {
        let config = TrainConfig { steps: 100, ..TrainConfig::usual(1500) };
        assert!(config.rate(0) < config.rate(4) && config.rate(99) < 1e-3 * config.lr);
        assert_eq!(TrainConfig::usual(1500).steps, 703);
        assert_eq!(TrainConfig::usual(60_000).steps, 1406);
    }

    #[test]
    fn the_same_settings_give_the_same_weights() {
        let one = Runtime { threads: Some(1), ..Runtime::default() };
        tweedie_torch::runtime::init(&one).unwrap();
        let few = digits::train().unwrap();
        let config = TrainConfig { steps: 3, ..TrainConfig::usual(few.count()) };
        let weights = |seed| {
            let config = TrainConfig { seed, ..config };
            let trained = train(&few, &config, |_, _| {}).unwrap();
            to_f32(&trained.head.weight).unwrap()
        };
        assert_eq!(weights(1), weights(1));
        assert_ne!(weights(1), weights(2));
    }

    #[test]
    fn what_cannot_be_learnt_is_refused() {
        let images = || from_f32(&[0.0; 128], &[2, 1, 8, 8]).unwrap();
        let labels = |l: &[i64]| Some(tensor::from_i64(l, &[2]).unwrap());
        let usual = TrainConfig::usual(2);
        let refused = |set: Dataset, config: &TrainConfig, word: &str| {
            let error = train(&set, config, |_, _| {}).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        refused(Dataset::new(images(), None).unwrap(), &usual, "labels");
        refused(Dataset::new(images(), labels(&[0, 0])).unwrap(), &usual, "classes is 1");
        refused(Dataset::new(images(), labels(&[-1, 1])).unwrap(), &usual, "label is -1");
        let flat = Dataset::new(images().flatten(1, -1), labels(&[0, 1])).unwrap();
        refused(flat, &usual, "[channels, height, width]");
        let tiny = Dataset::new(images().reshape([2, 16, 2, 2]), labels(&[0, 1])).unwrap();
        refused(tiny, &usual, "4 or more");
        let set = || Dataset::new(images(), labels(&[0, 1])).unwrap();
        refused(set(), &TrainConfig { steps: 0, ..usual }, "steps");
        refused(set(), &TrainConfig { lr: f64::NAN, ..usual }, "lr");
        let classifier = Classifier::new([1, 8, 8], 2, 0, Device::Cpu).unwrap();
        assert!(classifier.classify(&images().reshape([1, 2, 8, 8])).is_err());
        assert!(accuracy(&classifier, &Dataset::new(images(), None).unwrap()).is_err());
    }
}
