//! A small convolutional classifier that is trained on the data set itself.
//!
//! It needs no downloaded weights, so it works offline and on images of any size. Its features
//! depend on the data set and on its training: distances in them are no FID and compare only with
//! each other, on the same data set.

mod train;

pub use train::{TrainConfig, accuracy, train};

use crate::features::hex;
use crate::{Error, Extractor, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Kind, Tensor};
use tweedie_data::Dataset;
use tweedie_torch::ops::Around;
use tweedie_torch::parameters::{Conv2d, Conv2dConfig, GroupNorm, Linear, Parameters, Scope};
use tweedie_torch::tensor;
use tweedie_torch::weights::{self, KindPolicy};

/// The numbers of a feature vector.
pub const FEATURES: i64 = 128;

/// Four convolutions with group norms, a 4×4 average pool, a hidden layer whose outputs are the
/// features, and a linear layer to the classes.
#[derive(Debug)]
pub struct Classifier {
    parameters: Parameters,
    blocks: Vec<(Conv2d, GroupNorm)>,
    hidden: Linear,
    head: Linear,
    shape: [i64; 3],
    classes: i64,
    /// Of its weights, made when they are final.
    key: String,
}

/// What the training of a classifier came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// Images that it was asked about.
    pub count: usize,
    /// How many of them it got right.
    pub right: usize,
}

impl Accuracy {
    /// The share that is right.
    pub fn share(&self) -> f64 {
        self.right as f64 / self.count.max(1) as f64
    }
}

impl Classifier {
    /// Untrained, for images of `shape`, `[channels, height, width]`.
    ///
    /// # Errors
    /// If a side is shorter than 4 pixels or there are fewer than 2 classes.
    pub fn new(shape: [i64; 3], classes: i64, seed: u64, device: Device) -> Result<Self> {
        let [channels, height, width] = shape;
        if channels < 1 || height < 4 || width < 4 {
            return Err(Error::shape("an image", "[channels, 4 or more, 4 or more]", &shape));
        }
        if classes < 2 {
            return Err(Error::invalid("the number of classes", classes, "at least 2"));
        }
        let mut parameters = Parameters::new(seed, Kind::Float, device)?;
        let mut root = parameters.root();
        let mut block = |number: usize, inputs, outputs, stride| -> Result<_> {
            let mut scope = root.sub(format_args!("blocks.{number}"));
            conv_block(&mut scope, inputs, outputs, stride)
        };
        // Large images are halved once more, at the door.
        let first = if height.min(width) >= 24 { 2 } else { 1 };
        let blocks = vec![
            block(0, channels, 32, first)?,
            block(1, 32, 64, 1)?,
            block(2, 64, 64, 2)?,
            block(3, 64, 128, 1)?,
        ];
        let hidden = Linear::new(&mut root.sub("hidden"), 128 * POOLED * POOLED, FEATURES, true)?;
        let head = Linear::new(&mut root.sub("head"), FEATURES, classes, true)?;
        Ok(Classifier { parameters, blocks, hidden, head, shape, classes, key: String::new() })
    }

    /// The number of classes.
    pub fn classes(&self) -> i64 {
        self.classes
    }

    /// The features of images in [−1, 1], `[n, 128]`; the images are of the right shape.
    fn hidden(&self, images: &Tensor) -> Result<Tensor> {
        let mut x = images.shallow_clone();
        for (conv, norm) in &self.blocks {
            let silu = Around { silu: true, ..Default::default() };
            x = norm.forward_around(&conv.forward(&x), silu)?;
        }
        let pooled = x.adaptive_avg_pool2d([POOLED, POOLED]).flatten(1, -1);
        Ok(self.hidden.forward(&pooled).silu())
    }

    fn logits(&self, images: &Tensor) -> Result<Tensor> {
        Ok(self.head.forward(&self.hidden(images)?))
    }

    fn check(&self, images: &Tensor) -> Result<()> {
        let size = images.size();
        match size.get(1..) == Some(&self.shape) {
            true => Ok(()),
            false => Err(Error::shape("images", format!("[n, {:?}]", self.shape), &size)),
        }
    }

    /// The likeliest class of each image, `[n]`.
    ///
    /// # Errors
    /// If the images are of another shape than those of its training.
    pub fn classify(&self, images: &Tensor) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        self.check(images)?;
        let images = images.to_device(self.parameters.device()).to_kind(Kind::Float);
        Ok(self.logits(&images)?.argmax(1, false))
    }

    /// Writes the weights; `notes` say what they are of.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path, notes: &BTreeMap<String, String>) -> Result<()> {
        Ok(weights::save(path, self.parameters.named(), notes, None)?)
    }

    /// Takes the weights that [`save`](Self::save) wrote of a classifier of this shape.
    ///
    /// # Errors
    /// If the file is not whole or of another classifier.
    pub fn load(&mut self, path: &Path) -> Result<()> {
        let dict = weights::load(path, KindPolicy::Keep, self.parameters.device())?;
        self.parameters.load(&dict)?;
        self.settle()
    }

    /// Names the weights, which are final now.
    fn settle(&mut self) -> Result<()> {
        let mut hash = Sha256::new();
        for (name, t) in self.parameters.named() {
            hash.update(name);
            hash.update(tensor::to_bytes(t)?);
        }
        self.key = format!("classifier:{}", hex(&hash.finalize()));
        Ok(())
    }
}

/// The side of what is left of an image before the hidden layer.
const POOLED: i64 = 4;

fn conv_block(
    scope: &mut Scope<'_>,
    inputs: i64,
    outputs: i64,
    stride: i64,
) -> Result<(Conv2d, GroupNorm)> {
    // The norm has a shift of its own.
    let config = Conv2dConfig { stride, bias: false, ..Default::default() };
    let conv = Conv2d::new(&mut scope.sub("conv"), inputs, outputs, config)?;
    Ok((conv, GroupNorm::new(&mut scope.sub("norm"), 8, outputs, 1e-5)?))
}

impl Extractor for Classifier {
    fn key(&self) -> String {
        self.key.clone()
    }

    fn features(&self, images: &Tensor) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        self.check(images)?;
        self.hidden(&images.to_device(self.parameters.device()).to_kind(Kind::Float))
    }
}

/// The classifier of a labelled training set and what it gets right of `test`: read from `folder`
/// if this very training was done before, else (or if the file is damaged) trained and written there.
///
/// # Errors
/// As [`train`], or if a file of the folder cannot be written.
pub fn cached(
    folder: Option<&Path>,
    data: &Dataset,
    config: &TrainConfig,
    progress: impl FnMut(usize, usize),
) -> Result<Classifier> {
    let shape = train::image_shape(data)?;
    let classes = train::class_count(data)?;
    let settings = serde_json::to_string(config).unwrap_or_default();
    let key = format!("{} {settings}", crate::fingerprint(data)?);
    let name = format!("classifier-{}.safetensors", hex(&Sha256::digest(&key)));
    let path = folder.map(|folder| folder.join(name));
    if let Some(path) = path.as_ref().filter(|path| path.is_file()) {
        let mut classifier = Classifier::new(shape, classes, config.seed, data.samples().device())?;
        // A file that is damaged is made again.
        if classifier.load(path).is_ok() {
            return Ok(classifier);
        }
    }
    let classifier = train(data, config, progress)?;
    if let Some(path) = path {
        classifier.save(&path, &BTreeMap::from([("trained_on".to_owned(), key)]))?;
    }
    Ok(classifier)
}
