//! What is learnt, and how its samples are shown.

use crate::output::usage;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tch::Tensor;
use tweedie::data::idx::{self, Split};
use tweedie::data::toy::{self, Points};
use tweedie::data::{Dataset, digits};
use tweedie::models::ModelSpec;

/// `[data]` of a recipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataSpec {
    /// A toy set (`swissroll`, `dino`, …), `digits`, `fashion-mnist`, or `idx` for a folder with
    /// files like MNIST's.
    name: String,
    /// Of a toy set: how many points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    points: Option<usize>,
    /// Of image files: their folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
}

/// How samples are shown.
#[derive(Clone, Debug)]
pub(crate) enum View {
    /// Points in the plane, over the training data.
    Points {
        /// The training data.
        data: Vec<[f32; 2]>,
    },
    /// Images.
    Images {
        /// 1 or 3.
        channels: usize,
        /// In pixels.
        height: usize,
        /// In pixels.
        width: usize,
        /// A name for each class.
        class_names: Vec<String>,
    },
}

const FASHION: [&str; 10] = [
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];
const USUAL_POINTS: usize = 2000;

impl DataSpec {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Names the first key that makes no sense for this set.
    pub(super) fn check(&self) -> Result<()> {
        let kind = self.kind()?;
        let given = [
            ("points", self.points.is_some(), kind == Kind::Toy),
            ("path", self.path.is_some(), kind == Kind::Idx),
        ];
        if let Some((key, ..)) = given.into_iter().find(|(_, given, wanted)| *given && !wanted) {
            return Err(usage(format!("`data.{key}` says nothing about {}", self.name)));
        }
        match self.points {
            Some(n) if !(1..=100_000_000).contains(&n) => Err(usage(format!(
                "`data.points` is {n}, expected a whole number from 1 to 100000000"
            ))),
            _ => Ok(()),
        }
    }

    /// The numbers of a sample, where they are known without reading a file.
    pub(super) fn dim(&self) -> Option<i64> {
        match self.kind() {
            Ok(Kind::Toy) => Some(2),
            Ok(Kind::Digits) => Some(64),
            Ok(Kind::Idx) if self.name == "fashion-mnist" => Some(784),
            _ => None,
        }
    }

    /// A name for each class; none for data without classes.
    pub(crate) fn class_names(&self) -> Vec<String> {
        match self.kind() {
            Ok(Kind::Idx) if self.name == "fashion-mnist" => FASHION.map(str::to_owned).to_vec(),
            Ok(Kind::Digits | Kind::Idx) => (0..10).map(|d| d.to_string()).collect(),
            Ok(Kind::Toy) => {
                // A few points have every class.
                let labels =
                    toy::by_name(&self.name, 1000, 0).map(|p| p.labels).unwrap_or_default();
                let classes = labels.into_iter().max().map_or(0, |last| last + 1);
                (0..classes).map(|c| c.to_string()).collect()
            }
            Err(_) => vec![],
        }
    }

    /// The training data in the shape that `model` takes, with labels if it takes them.
    pub(crate) fn load(&self, model: &ModelSpec, seed: u64) -> Result<(Dataset, View)> {
        let set = match self.kind()? {
            Kind::Toy => {
                let points = self.toy(seed)?;
                let set = points.dataset()?;
                let labelled = model.num_classes().is_some();
                let set = if labelled { set } else { unlabelled(&set)? };
                return Ok((set, points_view(&points)));
            }
            Kind::Digits => digits::all()?,
            Kind::Idx => self.images()?,
        };
        let view = self.image_view(&set.sample_shape())?;
        let shape = model.sample_shape();
        let (found, needed) =
            (shape.iter().product::<i64>(), set.sample_shape().iter().product::<i64>());
        if found != needed {
            return Err(usage(format!(
                "`model.dim` is {found}, expected {needed}, the numbers of a sample"
            )));
        }
        let set = set.reshaped(&shape)?;
        match model.num_classes() {
            Some(classes) => {
                let labelled = set.classes().is_some_and(|found| found <= classes);
                ensure!(labelled, "the labels of {} are not those of {classes} classes", self.name);
                Ok((set, view))
            }
            None => Ok((unlabelled(&set)?, view)),
        }
    }

    /// How samples are shown, without reading files.
    pub(crate) fn view(&self, model: &ModelSpec, seed: u64) -> Result<View> {
        if self.kind()? == Kind::Toy {
            return Ok(points_view(&self.toy(seed)?));
        }
        let dim = model.sample_shape().iter().product::<i64>();
        let side = (dim as f64).sqrt().round() as i64;
        ensure!(side * side == dim, "{dim} numbers are no square image");
        self.image_view(&[1, side, side])
    }

    fn image_view(&self, shape: &[i64]) -> Result<View> {
        let &[channels, height, width] = shape else {
            anyhow::bail!("samples of shape {shape:?}, expected [channels, height, width]");
        };
        let class_names = self.class_names();
        let [channels, height, width] = [channels, height, width].map(|n| n as usize);
        Ok(View::Images { channels, height, width, class_names })
    }

    fn kind(&self) -> Result<Kind> {
        match self.name.as_str() {
            "digits" => Ok(Kind::Digits),
            "fashion-mnist" | "idx" => Ok(Kind::Idx),
            name if toys().any(|toy| toy == name) => Ok(Kind::Toy),
            name => {
                let all = || toys().chain(["digits", "fashion-mnist", "idx"]);
                let near = |toy: &&str| strsim::jaro_winkler(name, toy) > 0.8;
                let hint = match all().find(near) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("expected one of {}", all().collect::<Vec<_>>().join(", ")),
                };
                Err(usage(format!("`data.name` is {name:?}; {hint}")))
            }
        }
    }

    fn toy(&self, seed: u64) -> Result<Points> {
        Ok(toy::by_name(&self.name, self.points.unwrap_or(USUAL_POINTS), seed)?)
    }

    fn images(&self) -> Result<Dataset> {
        let usual = Path::new("data").join(&self.name);
        let folder = self.path.as_deref().unwrap_or(&usual);
        let hint = || match self.name.as_str() {
            "fashion-mnist" => format!(
                "Fashion-MNIST is not in {}: `cargo xtask data fashion-mnist` fetches it, data.path=DIR names it",
                folder.display(),
            ),
            _ => format!("the folder of data.path, {}", folder.display()),
        };
        if !folder.is_dir() {
            anyhow::bail!("{}", hint());
        }
        Ok(idx::image_set(folder, Split::Train)?)
    }
}

/// The training images of a folder of IDX files, `[n, 1, height, width]` in [−1, 1].
pub(crate) fn idx_images(folder: &Path) -> Result<Tensor> {
    let set = idx::image_set(folder, Split::Train).context("the training images")?;
    Ok(set.all().x)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Toy,
    Digits,
    Idx,
}

fn toys() -> impl Iterator<Item = &'static str> {
    toy::NAMES.into_iter().chain(toy::DATASAURUS)
}

fn unlabelled(set: &Dataset) -> Result<Dataset> {
    Ok(Dataset::new(set.samples().shallow_clone(), None)?)
}

fn points_view(points: &Points) -> View {
    View::Points { data: points.xy.iter().map(|p| p.map(|v| v as f32)).collect() }
}

impl View {
    /// As many samples as make a good picture.
    pub(crate) fn usual_count(&self) -> usize {
        match self {
            View::Points { .. } => 1000,
            View::Images { .. } => 64,
        }
    }

    /// The standard deviation of the data, about.
    pub(crate) fn spread(&self) -> f64 {
        match self {
            View::Points { data } => {
                let squares = data.as_flattened().iter().map(|v| f64::from(v * v)).sum::<f64>();
                (squares / (2 * data.len()).max(1) as f64).sqrt().max(1e-6)
            }
            View::Images { .. } => 0.7,
        }
    }

    /// A name for each class, if there are any.
    pub(crate) fn class_names(&self) -> &[String] {
        match self {
            View::Points { .. } => &[],
            View::Images { class_names, .. } => class_names,
        }
    }
}
