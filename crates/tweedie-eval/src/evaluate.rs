//! Everything that can be said of a set of samples at once.

use crate::classifier::{self, Classifier, TrainConfig};
use crate::features::evenly;
use crate::inception::Inception;
use crate::kernel::{self, KernelConfig};
use crate::manifold::{NEIGHBOURS, precision_recall};
use crate::nearest::{Nearest, nearest};
use crate::sliced::sliced_wasserstein;
use crate::{Error, Extractor, Moments, Reference, Result, fingerprint, frechet_distance};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::Tensor;
use tweedie_data::Dataset;

/// The names of what is measured, as programs may rely on them.
pub const METRICS: [&str; 11] = [
    "frechet_inception",
    "frechet_classifier",
    "kernel_inception",
    "precision",
    "recall",
    "sliced_wasserstein",
    "mmd",
    "class_accuracy",
    "classifier_accuracy",
    "memorised",
    "nearest_distance",
];

/// How samples are measured. The defaults are what the documentation describes.
#[derive(Debug)]
pub struct Evaluator {
    /// The network of `frechet_inception` and `kernel_inception`; these are left out without it.
    pub inception: Option<Inception>,
    /// Where classifiers and statistics of data are kept; nowhere if none.
    pub cache: Option<PathBuf>,
    /// Directions of the sliced Wasserstein distance.
    pub projections: usize,
    /// The most samples and the most data that `mmd` looks at, spread evenly.
    pub mmd_rows: usize,
    /// The subsets of `kernel_inception`.
    pub kernel: KernelConfig,
    /// How the classifier is trained; [`TrainConfig::usual`] if none.
    pub classifier: Option<TrainConfig>,
    /// Decides the directions.
    pub seed: u64,
}

impl Default for Evaluator {
    fn default() -> Self {
        Evaluator {
            inception: None,
            cache: None,
            projections: 512,
            mmd_rows: 5000,
            kernel: KernelConfig::default(),
            classifier: None,
            seed: 0,
        }
    }
}

/// What is compared: samples with the data that the model learnt from.
#[derive(Clone, Copy, Debug)]
pub struct Sets<'a> {
    /// With the classes that were asked for, if classes were.
    pub samples: &'a Dataset,
    /// The training split.
    pub data: &'a Dataset,
    /// The test split, on which the classifier is checked.
    pub test: Option<&'a Dataset>,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Evaluation {
    /// Numbers by names of [`METRICS`]; what could not be computed is absent.
    pub metrics: BTreeMap<&'static str, f64>,
    /// Why something is absent, or to be taken with care.
    pub notes: Vec<String>,
    /// The nearest training image of each sample.
    pub nearest: Option<Nearest>,
    /// Whose features precision and recall are of: `inception` or `classifier`.
    pub manifold_of: Option<&'static str>,
}

/// Hears what is done, how much of it, of how much.
pub type Progress<'p> = dyn FnMut(&'static str, usize, usize) + 'p;

impl Evaluator {
    /// Measures everything that can be measured of these sets.
    ///
    /// # Errors
    /// If samples and data differ in shape, a number is not finite, or a file of the cache cannot
    /// be read or written. What needs more samples, labels or weights than there are is left out,
    /// with a note.
    pub fn run(&self, sets: &Sets<'_>, progress: &mut Progress<'_>) -> Result<Evaluation> {
        let (found, expected) = (sets.samples.sample_shape(), sets.data.sample_shape());
        if found != expected {
            let expected = format!("{expected:?}, that of the data");
            return Err(Error::shape("a sample", expected, &found));
        }
        let mut evaluation = Evaluation::default();
        let samples = as_shown(sets.samples)?;
        self.pixels(&samples, sets.data, &mut evaluation)?;
        let fingerprint = fingerprint(sets.data)?;
        let mut work = Work { evaluator: self, fingerprint, sets, samples: &samples, progress };
        work.inception(&mut evaluation)?;
        work.classifier(&mut evaluation)?;
        Ok(evaluation)
    }

    /// How the classifier of these data is trained.
    pub fn classifier_config(&self, data: &Dataset) -> TrainConfig {
        self.classifier.unwrap_or_else(|| TrainConfig::usual(data.count()))
    }

    fn pixels(&self, samples: &Dataset, data: &Dataset, out: &mut Evaluation) -> Result<()> {
        let (x, y) = (samples.all().x, data.all().x);
        let distance = sliced_wasserstein(&x, &y, self.projections, self.seed);
        out.take("sliced_wasserstein", distance)?;
        let (few, some) = (evenly(&x, self.mmd_rows)?, evenly(&y, self.mmd_rows)?);
        out.take("mmd", kernel::mmd(&few, &some))?;
        if let Some(nearest) = out.attempt("memorised and nearest_distance", nearest(&x, &y))? {
            out.metrics.insert("memorised", nearest.memorised());
            out.metrics.insert("nearest_distance", nearest.median_distance());
            out.nearest = Some(nearest);
        }
        Ok(())
    }
}

impl Evaluation {
    /// Keeps a number, or the reason why there is none.
    fn take(&mut self, name: &'static str, number: Result<f64>) -> Result<()> {
        if let Some(number) = self.attempt(name, number)? {
            self.metrics.insert(name, number);
        }
        Ok(())
    }

    /// Too few samples are no failure of all the rest.
    fn attempt<T>(&mut self, name: &str, outcome: Result<T>) -> Result<Option<T>> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error @ Error::TooFew { .. }) => {
                self.notes.push(format!("no {name}: {error}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn without(&mut self, names: &str, why: impl std::fmt::Display) {
        self.notes.push(format!("no {names}: {why}"));
    }
}

/// Images as a picture would show them, within [−1, 1]; anything else as it is.
fn as_shown(samples: &Dataset) -> Result<Dataset> {
    let all = samples.all();
    let x = if is_images(samples) { all.x.clamp(-1.0, 1.0) } else { all.x };
    Ok(Dataset::new(x, all.labels)?)
}

fn is_images(set: &Dataset) -> bool {
    set.sample_shape().len() == 3
}

/// The part with networks.
struct Work<'a, 'p> {
    evaluator: &'a Evaluator,
    fingerprint: String,
    sets: &'a Sets<'a>,
    samples: &'a Dataset,
    progress: &'a mut Progress<'p>,
}

impl Work<'_, '_> {
    fn inception(&mut self, out: &mut Evaluation) -> Result<()> {
        let Some(inception) = &self.evaluator.inception else {
            out.without("frechet_inception and kernel_inception", "no weights of Inception given");
            return Ok(());
        };
        if !is_images(self.samples) {
            out.without("frechet_inception and kernel_inception", "the data are no images");
            return Ok(());
        }
        let (features, reference) = self.compare("frechet_inception", inception, out)?;
        let kernel = crate::kernel_distance(&features, &reference.features, &self.evaluator.kernel);
        out.take("kernel_inception", kernel.map(|distance| distance.mean))?;
        manifold("inception", &features, &reference, out)
    }

    fn classifier(&mut self, out: &mut Evaluation) -> Result<()> {
        const NAMES: &str = "frechet_classifier, class_accuracy and classifier_accuracy";
        let why = match (is_images(self.samples), self.sets.data.classes()) {
            (false, _) => Some("the data are no images"),
            (true, None) => Some("the data have no labels"),
            (true, Some(..2)) => Some("the data have one class only"),
            (true, Some(_)) => None,
        };
        if let Some(why) = why {
            out.without(NAMES, why);
            if out.manifold_of.is_none() {
                out.without("precision and recall", "neither Inception nor a classifier");
            }
            return Ok(());
        }
        let config = self.evaluator.classifier_config(self.sets.data);
        let cache = self.evaluator.cache.as_deref();
        let progress = &mut *self.progress;
        let classifier = classifier::cached(cache, self.sets.data, &config, |done, of| {
            progress("training the classifier", done, of);
        })?;
        let (features, reference) = self.compare("frechet_classifier", &classifier, out)?;
        if out.manifold_of.is_none() {
            manifold("classifier", &features, &reference, out)?;
        }
        self.accuracies(&classifier, out)
    }

    fn accuracies(&mut self, classifier: &Classifier, out: &mut Evaluation) -> Result<()> {
        match self.sets.test {
            Some(test) if test.labels().is_some() => {
                let accuracy = classifier::accuracy(classifier, test)?;
                out.metrics.insert("classifier_accuracy", accuracy.share());
            }
            _ => out.without("classifier_accuracy", "there is no labelled test split"),
        }
        match self.samples.labels() {
            Some(_) => {
                let accuracy = classifier::accuracy(classifier, self.samples)?;
                out.metrics.insert("class_accuracy", accuracy.share());
            }
            None => out.without("class_accuracy", "no class was asked of the samples"),
        }
        Ok(())
    }

    /// The features of the samples, and what is kept of the data's; takes the Fréchet distance.
    fn compare(
        &mut self,
        name: &'static str,
        extractor: &dyn Extractor,
        out: &mut Evaluation,
    ) -> Result<(Tensor, Reference)> {
        let reference = self.reference(extractor)?;
        let count = self.samples.count();
        let features = crate::features::features(extractor, self.samples, |done| {
            (self.progress)("features of the samples", done, count);
        })?;
        let moments = Moments::of(&features)?;
        let distance = frechet_distance(&moments, &reference.moments);
        let dim = moments.dim();
        let Some(distance) = out.attempt(name, distance)? else { return Ok((features, reference)) };
        out.metrics.insert(name, distance);
        if count as i64 <= dim {
            out.notes.push(format!(
                "{name}: {count} samples span fewer than the {dim} features: \
                 compare it with nothing but as many samples"
            ));
        }
        Ok((features, reference))
    }

    fn reference(&mut self, extractor: &dyn Extractor) -> Result<Reference> {
        let key = format!("{} of {}", extractor.key(), self.fingerprint);
        let path = self.evaluator.cache.as_deref().map(|folder| statistics_path(folder, &key));
        // A file that is damaged is made again.
        let stored = path.as_ref().filter(|path| path.is_file());
        if let Some(Ok(reference)) = stored.map(|path| Reference::load(path, &key)) {
            return Ok(reference);
        }
        let count = self.sets.data.count();
        let reference = Reference::of(extractor, self.sets.data, |done| {
            (self.progress)("features of the data", done, count);
        })?;
        if let Some(path) = path {
            reference.save(&path, &key)?;
        }
        Ok(reference)
    }
}

fn statistics_path(folder: &Path, key: &str) -> PathBuf {
    let name = key.replace([':', ' '], "-");
    folder.join(format!("statistics-{name}.safetensors"))
}

/// Precision and recall of as many samples as data: the balls of the smaller set are wider.
fn manifold(
    name: &'static str,
    features: &Tensor,
    reference: &Reference,
    out: &mut Evaluation,
) -> Result<()> {
    let most = features.size()[0].min(reference.features.size()[0]) as usize;
    let (x, y) = (evenly(features, most)?, evenly(&reference.features, most)?);
    let found = out.attempt("precision and recall", precision_recall(&x, &y, NEIGHBOURS))?;
    if let Some(found) = found {
        out.metrics.insert("precision", found.precision);
        out.metrics.insert("recall", found.recall);
    }
    out.manifold_of = Some(name);
    Ok(())
}
