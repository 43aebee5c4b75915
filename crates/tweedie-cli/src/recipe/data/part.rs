//! The parts of a data set: what is learnt, and what was never shown.

use super::{DataSpec, USUAL_POINTS};
use crate::output::usage;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use tch::Tensor;
use tweedie::data::cifar::{self, Labels};
use tweedie::data::images::ImageFolder;
use tweedie::data::latents::Latents;
use tweedie::data::toy::{self, Points};
use tweedie::data::{Dataset, Source, Split, digits, idx, npy};
use tweedie::models::ModelSpec;

/// A part of a data set, as it is: images `[channels, height, width]` in [−1, 1], with labels if
/// there are any.
pub(crate) struct Part {
    pub(crate) source: Box<dyn Source>,
    /// A name for each class; none for data without classes.
    pub(crate) class_names: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Toy,
    Digits,
    Idx,
    Cifar10,
    Cifar100,
    Images,
    Npz,
    Latents,
}

/// The names that are no toys, and what they are.
const NAMES: [(&str, Kind); 8] = [
    ("digits", Kind::Digits),
    ("fashion-mnist", Kind::Idx),
    ("idx", Kind::Idx),
    ("cifar10", Kind::Cifar10),
    ("cifar100", Kind::Cifar100),
    ("images", Kind::Images),
    ("npz", Kind::Npz),
    ("latents", Kind::Latents),
];

/// Toys that are drawn by chance: another seed gives points that were never shown.
const BY_CHANCE: [&str; 6] =
    ["moons", "rings", "checkerboard", "eight-gaussians", "spirals", "pinwheel"];

impl Part {
    /// All of it in memory.
    pub(crate) fn dataset(&self) -> Result<Dataset> {
        Ok(Dataset::read(&*self.source)?)
    }

    /// That samples and labels are what a model takes.
    pub(super) fn check(&self, name: &str, model: &ModelSpec) -> Result<()> {
        let (found, wanted) = (self.source.sample_shape(), model.sample_shape());
        let numbers = |shape: &[i64]| shape.iter().product::<i64>();
        if wanted.len() > 1 && found != wanted {
            return Err(usage(format!(
                "the model takes samples {wanted:?}, those of {name} are {found:?}"
            )));
        }
        if numbers(&found) != numbers(&wanted) {
            let (found, wanted) = (numbers(&found), numbers(&wanted));
            return Err(usage(format!(
                "`model.dim` is {wanted}, expected {found}, the numbers of a sample"
            )));
        }
        let Some(classes) = model.num_classes() else { return Ok(()) };
        let Some(found) = self.source.classes() else {
            return Err(usage(format!("the model has {classes} classes, but {name} has none")));
        };
        let named = self.class_names.len() as i64;
        if named > 0 && found > named {
            let last = found - 1;
            anyhow::bail!("the labels of {name} go to {last}, but it has {named} classes");
        }
        // Whatever has names has as many classes as names; else the last ones may not occur.
        let fits = if named > 0 { named == classes } else { found <= classes };
        if !fits {
            let found = found.max(named);
            return Err(usage(format!(
                "`model.num_classes` is {classes}, expected {found}, the classes of the data"
            )));
        }
        Ok(())
    }
}

impl DataSpec {
    /// A part of the set, as it is; toys are drawn with `seed`.
    ///
    /// # Errors
    /// If it has no such part, or its files cannot be read.
    pub(crate) fn part(&self, split: Split, seed: u64) -> Result<Part> {
        let kind = self.kind()?;
        let mut class_names = self.class_names();
        let source: Box<dyn Source> = match kind {
            Kind::Toy => Box::new(self.toy(split, seed)?.dataset()?),
            Kind::Digits => Box::new(digits::split(split)?),
            Kind::Idx => Box::new(idx::image_set(&self.files()?, split)?),
            Kind::Cifar10 => Box::new(cifar::cifar10(&self.files()?, split)?),
            Kind::Cifar100 => Box::new(cifar::cifar100(&self.files()?, split, Labels::Fine)?),
            Kind::Images => {
                let folder = self.images(split)?;
                class_names = folder.class_names().to_vec();
                Box::new(folder)
            }
            Kind::Npz | Kind::Latents if split == Split::Test => return Err(self.no_test()),
            Kind::Npz => Box::new(npy::image_set(&self.files()?)?),
            Kind::Latents => Box::new(Latents::open(&self.files()?, self.latent_config())?),
        };
        Ok(Part { source, class_names })
    }

    /// What was never shown, if the set has such a part.
    pub(crate) fn test_part(&self, seed: u64) -> Result<Option<Part>> {
        let has_one = match self.kind()? {
            Kind::Toy => BY_CHANCE.contains(&&*self.name),
            Kind::Digits | Kind::Idx | Kind::Cifar10 | Kind::Cifar100 => true,
            Kind::Images => halves(&self.files()?).is_some(),
            Kind::Npz | Kind::Latents => false,
        };
        if has_one { self.part(Split::Test, seed).map(Some) } else { Ok(None) }
    }

    pub(super) fn kind(&self) -> Result<Kind> {
        let name = &*self.name;
        if let Some((_, kind)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(*kind);
        }
        if toys().any(|toy| toy == name) {
            return Ok(Kind::Toy);
        }
        let all = || toys().chain(NAMES.map(|(name, _)| name));
        let near = |known: &&str| strsim::jaro_winkler(name, known) > 0.8;
        let hint = match all().find(near) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("expected one of {}", all().collect::<Vec<_>>().join(", ")),
        };
        Err(usage(format!("`data.name` is {name:?}; {hint}")))
    }

    pub(super) fn toy(&self, split: Split, seed: u64) -> Result<Points> {
        let seed = match split {
            Split::Train => seed,
            Split::Test if BY_CHANCE.contains(&&*self.name) => !seed,
            Split::Test => return Err(self.no_test()),
        };
        Ok(toy::by_name(&self.name, self.points.unwrap_or(USUAL_POINTS), seed)?)
    }

    /// The names of the sub-folders, if these are images and the folder is there.
    pub(super) fn folder_names(&self) -> Option<Vec<String>> {
        let folder = self.path.as_ref().filter(|_| self.kind().is_ok_and(|k| k == Kind::Images))?;
        let folder = halves(folder).map_or(folder.clone(), |[train, _]| train);
        let entries = std::fs::read_dir(folder).ok()?.flatten();
        let folders = entries.filter(|entry| entry.path().is_dir());
        let mut names: Vec<String> =
            folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        Some(names)
    }

    /// The images of a part: of the folder's own halves if it has them.
    fn images(&self, split: Split) -> Result<ImageFolder> {
        let (folder, config) = (self.files()?, self.image_config());
        let (halves, whole) = (halves(&folder), Split::Train);
        let Some([train, test]) = halves else {
            return match split == whole {
                true => Ok(ImageFolder::open(&folder, config)?),
                false => Err(self.no_test().context(format!(
                    "{} has no sub-folders train and test (or val)",
                    folder.display()
                ))),
            };
        };
        let learnt = ImageFolder::open(&train, config)?;
        if split == Split::Train {
            return Ok(learnt);
        }
        let kept = ImageFolder::open(&test, config)?;
        let (found, expected) = (kept.class_names(), learnt.class_names());
        ensure!(
            found == expected,
            "{} has classes {found:?}, expected those of {}, {expected:?}",
            test.display(),
            train.display()
        );
        Ok(kept)
    }

    fn no_test(&self) -> anyhow::Error {
        let name = &self.name;
        usage(format!("{name} has no test part"))
    }

    /// The folder or file that holds the data, which is there.
    fn files(&self) -> Result<PathBuf> {
        let usual = Path::new("data").join(&self.name);
        let path = self.path.clone().unwrap_or(usual);
        let there = if self.name == "npz" { path.exists() } else { path.is_dir() };
        if there || (self.name == "latents" && path.is_file()) {
            return Ok(path);
        }
        let shown = path.display();
        match &*self.name {
            "fashion-mnist" => bail!(
                "Fashion-MNIST is not in {shown}: `cargo xtask data fashion-mnist` fetches it, \
                 data.path=DIR names it"
            ),
            "cifar10" | "cifar100" => bail!(
                "{} is not in {shown}: data.path=DIR names the folder of its binary version",
                self.name
            ),
            "npz" => bail!("the file of data.path, {shown}, is not there"),
            _ => bail!("the folder of data.path, {shown}, is not there"),
        }
    }
}

/// A folder's own halves: `train`, and `test` or `val`.
fn halves(folder: &Path) -> Option<[PathBuf; 2]> {
    let train = folder.join("train");
    let mut tests = ["test", "val"].map(|name| folder.join(name)).into_iter();
    let test = tests.find(|path| path.is_dir())?;
    train.is_dir().then_some([train, test])
}

/// The training images of a folder of IDX files, `[n, 1, height, width]` in [−1, 1].
pub(crate) fn idx_images(folder: &Path) -> Result<Tensor> {
    let set = idx::image_set(folder, Split::Train).context("the training images")?;
    Ok(set.all().x)
}

fn toys() -> impl Iterator<Item = &'static str> {
    toy::NAMES.into_iter().chain(toy::DATASAURUS)
}
