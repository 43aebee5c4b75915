//! What is learnt, as a recipe says it.

mod part;
mod view;

pub(crate) use part::{Part, idx_images};
pub(crate) use view::View;

use crate::output::{note, usage};
use anyhow::Result;
use part::Kind;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tweedie::data::augment::{HorizontalFlip, RandomCrop};
use tweedie::data::images::{Crop, ImageConfig, Limit};
use tweedie::data::latents::LatentConfig;
use tweedie::data::toy;
use tweedie::data::{Dataset, Loader, LoaderConfig, Map, Source, Split, cifar};
use tweedie::models::ModelSpec;

/// `[data]` of a recipe.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataSpec {
    /// A toy set (`swissroll`, `dino`, …), `digits`, `fashion-mnist`, `cifar10`, `cifar100`, or
    /// files: `idx` (like MNIST's), `images`, `npz`, `latents`.
    name: String,
    /// Of a toy set: how many points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    points: Option<usize>,
    /// Of files: their folder, or the one that there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    /// Which part is learnt; `train` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    split: Option<Split>,
    /// Of `images`: height and width in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<Size>,
    /// Of `images`: 3 for colour, which is usual, or 1 for grey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channels: Option<usize>,
    /// Of `images`: `center` keeps the largest part of the shape, `none` stretches the whole, `exact`
    /// takes those of the right size for the only good ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crop: Option<Crop>,
    /// Of `images`: how many files, or which part of them, may be broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_broken: Option<Limit>,
    /// Of images: half of them mirrored. Of latents: those of the mirrored images too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flip: Option<bool>,
    /// Of images: black pixels added on each side before a part of the old size is cut out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pad: Option<usize>,
    /// Of latents: what is taken away first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shift: Option<f64>,
    /// Of latents: what is multiplied with then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scale: Option<f64>,
}

/// Height and width.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number of pixels, or [height, width]")]
enum Size {
    Square(usize),
    Sides([usize; 2]),
}

const USUAL_POINTS: usize = 2000;
/// Batches that are made ahead where they take time.
const AHEAD: usize = 4;

impl DataSpec {
    /// A set by its name, in its usual place or another.
    pub(crate) fn named(name: &str, path: Option<&Path>) -> Self {
        DataSpec { name: name.to_owned(), path: path.map(Path::to_path_buf), ..DataSpec::default() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Names the first key that makes no sense for this set.
    pub(super) fn check(&self) -> Result<()> {
        let kind = self.kind()?;
        self.keys(kind)?;
        self.values()?;
        if kind == Kind::Images && self.size.is_none() {
            return Err(usage("`data.size` is missing: the height and width of images in pixels"));
        }
        if matches!(kind, Kind::Images | Kind::Npz | Kind::Latents) && self.path.is_none() {
            let what = if kind == Kind::Npz { "file" } else { "folder" };
            return Err(usage(format!("`data.path` is missing: the {what} of {}", self.name)));
        }
        Ok(())
    }

    /// That every number that is given is within its range.
    fn values(&self) -> Result<()> {
        let [h, w] = self.sides();
        let side = |side: usize| (1..=8192).contains(&side);
        let limit = self.max_broken.is_none_or(|limit| limit.of(1).is_ok());
        let channels = self.channels.is_none_or(|c| matches!(c, 1 | 3));
        let points = self.points.is_none_or(|n| (1..=100_000_000).contains(&n));
        let scale = self.scale.is_none_or(|v| v.is_finite() && v != 0.0);
        let number = |n: Option<usize>| n.map_or(String::new(), |n| n.to_string());
        let shown = |limit: Option<Limit>| limit.map_or(String::new(), |l| l.to_string());
        let float = |v: Option<f64>| v.map_or(String::new(), |v| v.to_string());
        let checks = [
            ("points", points, number(self.points), "a whole number from 1 to 100000000"),
            ("size", side(h) && side(w), format!("{h} × {w}"), "sides of 1 to 8192"),
            ("channels", channels, number(self.channels), "1 or 3"),
            ("max_broken", limit, shown(self.max_broken), "files, or a part from 0.0 to 1.0"),
            ("pad", self.pad.is_none_or(|p| p <= 1024), number(self.pad), "0 to 1024 pixels"),
            ("shift", self.shift.is_none_or(f64::is_finite), float(self.shift), "a finite number"),
            ("scale", scale, float(self.scale), "a finite number that is not 0"),
        ];
        match checks.into_iter().find(|(_, fits, ..)| !fits) {
            Some((key, _, found, expected)) => {
                Err(usage(format!("`data.{key}` is {found}, expected {expected}")))
            }
            None => Ok(()),
        }
    }

    /// That no key is given which says nothing about this kind.
    fn keys(&self, kind: Kind) -> Result<()> {
        use Kind::{Cifar10, Cifar100, Digits, Idx, Images, Latents, Npz, Toy};
        let pixels = [Digits, Idx, Cifar10, Cifar100, Images, Npz];
        let any_of = |kinds: &[Kind]| kinds.contains(&kind);
        let given = [
            ("points", self.points.is_some(), any_of(&[Toy])),
            ("path", self.path.is_some(), !any_of(&[Toy, Digits])),
            ("split", self.split.is_some(), !any_of(&[Toy, Npz, Latents])),
            ("size", self.size.is_some(), any_of(&[Images])),
            ("channels", self.channels.is_some(), any_of(&[Images])),
            ("crop", self.crop.is_some(), any_of(&[Images])),
            ("max_broken", self.max_broken.is_some(), any_of(&[Images])),
            ("flip", self.flip.is_some(), any_of(&pixels) || any_of(&[Latents])),
            ("pad", self.pad.is_some(), any_of(&pixels)),
            ("shift", self.shift.is_some(), any_of(&[Latents])),
            ("scale", self.scale.is_some(), any_of(&[Latents])),
        ];
        match given.into_iter().find(|(_, given, wanted)| *given && !wanted) {
            Some((key, ..)) => Err(usage(format!("`data.{key}` says nothing about {}", self.name))),
            None => Ok(()),
        }
    }

    /// The numbers of a sample, where they are known without reading a file.
    pub(super) fn dim(&self) -> Option<i64> {
        match self.kind() {
            Ok(Kind::Toy) => Some(2),
            Ok(Kind::Npz | Kind::Latents) | Err(_) => None,
            Ok(Kind::Idx) if self.name != "fashion-mnist" => None,
            Ok(kind) => Some(self.image_shape(kind).iter().product()),
        }
    }

    /// The number of classes, where it is known without reading a file.
    pub(super) fn classes(&self) -> Option<usize> {
        match self.kind() {
            Ok(Kind::Images | Kind::Npz | Kind::Latents) | Err(_) => None,
            Ok(Kind::Idx) if self.name == "idx" => None,
            Ok(_) => Some(self.class_names().len()),
        }
    }

    /// A name for each class, as far as they are known without reading a file.
    pub(crate) fn class_names(&self) -> Vec<String> {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        match self.kind() {
            Ok(Kind::Idx) if self.name == "fashion-mnist" => owned(&FASHION),
            Ok(Kind::Digits) => (0..10).map(|d| d.to_string()).collect(),
            Ok(Kind::Cifar10) => owned(&cifar::CIFAR10),
            Ok(Kind::Cifar100) => owned(&cifar::CIFAR100),
            Ok(Kind::Toy) => {
                // A few points have every class.
                let labels =
                    toy::by_name(&self.name, 1000, 0).map(|p| p.labels).unwrap_or_default();
                let classes = labels.into_iter().max().map_or(0, |last| last + 1);
                (0..classes).map(|c| c.to_string()).collect()
            }
            Ok(Kind::Idx | Kind::Images | Kind::Npz | Kind::Latents) | Err(_) => vec![],
        }
    }

    /// A loader of what is learnt, in the shape that `model` takes, with labels if it takes them.
    /// `choose` sees the set first, and may leave some of it out.
    pub(crate) fn loader(
        &self,
        model: &ModelSpec,
        batch_size: usize,
        seed: u64,
        choose: impl FnOnce(Box<dyn Source>) -> Result<Box<dyn Source>>,
    ) -> Result<(Loader, View)> {
        let kind = self.kind()?;
        let part = self.part(self.split.unwrap_or_default(), seed)?;
        let view = self.view_of(&part, seed)?;
        part.check(&self.name, model)?;
        let shape = part.source.sample_shape();
        let maps = self.maps(kind, &shape);
        let streamed = matches!(kind, Kind::Images | Kind::Latents);
        let wanted = model.sample_shape();
        let config = LoaderConfig {
            prefetch: if streamed || !maps.is_empty() { AHEAD } else { 0 },
            maps,
            shape: (shape != wanted).then_some(wanted),
            labels: model.num_classes().is_some(),
            ..LoaderConfig::new(batch_size, seed)
        };
        Ok((Loader::new(choose(part.source)?, config)?, view))
    }

    /// What is learnt, all of it in memory, in the shape that `model` takes, with labels if it
    /// takes them.
    pub(crate) fn load(&self, model: &ModelSpec, seed: u64) -> Result<(Dataset, View)> {
        let part = self.part(self.split.unwrap_or_default(), seed)?;
        let view = self.view_of(&part, seed)?;
        part.check(&self.name, model)?;
        let set = part.dataset()?.reshaped(&model.sample_shape())?;
        Ok(match model.num_classes() {
            Some(_) => (set, view),
            None => (Dataset::new(set.samples().shallow_clone(), None)?, view),
        })
    }

    fn view_of(&self, part: &Part, seed: u64) -> Result<View> {
        match self.kind()? {
            Kind::Toy => Ok(view::points(&self.toy(Split::Train, seed)?)),
            kind => {
                say_what_is_shown(kind);
                view::images(&part.source.sample_shape(), part.class_names.clone())
            }
        }
    }

    /// How samples are shown, without reading files.
    pub(crate) fn view(&self, model: &ModelSpec, seed: u64) -> Result<View> {
        let kind = self.kind()?;
        if kind == Kind::Toy {
            return Ok(view::points(&self.toy(Split::Train, seed)?));
        }
        say_what_is_shown(kind);
        let shape = model.sample_shape();
        let of_set = self.image_shape(kind);
        let shape = match (shape.len(), shape.iter().product::<i64>()) {
            (3, _) => shape,
            (_, dim) if dim == of_set.iter().product::<i64>() && !of_set.is_empty() => of_set,
            (_, dim) => view::square(dim)?,
        };
        // The names of folders that are still there, else the numbers that the model knows.
        let known = Some(self.class_names()).filter(|names| !names.is_empty());
        let classes = model.num_classes().unwrap_or(0) as usize;
        let names = known.or_else(|| self.folder_names().filter(|names| names.len() == classes));
        view::images(&shape, names.unwrap_or_else(|| (0..classes).map(|c| c.to_string()).collect()))
    }

    /// What happens to samples in training.
    fn maps(&self, kind: Kind, shape: &[i64]) -> Vec<Map> {
        let mut maps: Vec<Map> = vec![];
        if self.flip == Some(true) && kind != Kind::Latents {
            maps.push(Arc::new(HorizontalFlip { p: 0.5 }));
        }
        if let (Some(padding), &[_, h, w]) = (self.pad.filter(|&pad| pad > 0), shape) {
            let crop = RandomCrop::new(h as usize, w as usize);
            maps.push(Arc::new(RandomCrop { padding, ..crop }));
        }
        maps
    }

    fn sides(&self) -> [usize; 2] {
        match self.size {
            Some(Size::Sides(sides)) => sides,
            Some(Size::Square(side)) => [side; 2],
            None => [1; 2],
        }
    }

    /// `[channels, height, width]`, as far as it is known without reading a file.
    fn image_shape(&self, kind: Kind) -> Vec<i64> {
        match kind {
            Kind::Digits => vec![1, 8, 8],
            Kind::Idx => vec![1, 28, 28],
            Kind::Cifar10 | Kind::Cifar100 => vec![3, 32, 32],
            Kind::Images => {
                let [h, w] = self.sides();
                [self.channels.unwrap_or(3), h, w].map(|n| n as i64).to_vec()
            }
            Kind::Toy | Kind::Npz | Kind::Latents => vec![],
        }
    }

    fn image_config(&self) -> ImageConfig {
        let [height, width] = self.sides();
        ImageConfig {
            channels: self.channels.unwrap_or(3),
            crop: self.crop.unwrap_or_default(),
            max_broken: self.max_broken.unwrap_or_default(),
            ..ImageConfig::new(height, width)
        }
    }

    fn latent_config(&self) -> LatentConfig {
        LatentConfig {
            shift: self.shift.unwrap_or(0.0),
            scale: self.scale.unwrap_or(1.0),
            flip: self.flip.unwrap_or(false),
        }
    }
}

/// Latents are no pictures.
fn say_what_is_shown(kind: Kind) {
    if kind == Kind::Latents {
        note("latents: pictures show their first three channels, -3 to 3 as black to white");
    }
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
