//! The data that samples are compared with, as training and test split.

use super::pictures;
use super::samples::OpenRun;
use crate::files::extension;
use crate::output::usage;
use crate::recipe::data::DataSpec;
use anyhow::Result;
use std::path::Path;
use tweedie::data::{Dataset, Split, npy};

/// A data set with a name.
pub(super) struct Against {
    /// What it is called, or where it is.
    pub(super) name: String,
    /// What the model learnt from, or might have.
    pub(super) train: Dataset,
    /// What the classifier is checked on.
    pub(super) test: Option<Dataset>,
    /// A name for each class, where names are known.
    pub(super) class_names: Vec<String>,
}

impl Against {
    /// What was typed: a name, a folder, or a file.
    pub(super) fn named(text: &str) -> Result<Self> {
        let path = Path::new(text);
        match text {
            _ if NAMES.contains(&text) => Self::of(&DataSpec::named(text, None), text, 0),
            _ if path.is_dir() && has_idx(path) => {
                Self::of(&DataSpec::named("idx", Some(path)), text, 0)
            }
            _ if path.is_dir() => Self::folder(text, path),
            _ if extension(path) == "npz" => {
                let train = npy::image_set(path)?;
                Ok(Against { name: text.to_owned(), train, test: None, class_names: vec![] })
            }
            _ => Err(usage(format!("--against {text}: {}", hint(text)))),
        }
    }

    /// What a run learnt from.
    pub(super) fn of_run(open: &OpenRun) -> Result<Self> {
        let recipe = &open.run.recipe;
        Self::of(&recipe.data, recipe.data.name(), recipe.seed)
    }

    fn of(data: &DataSpec, name: &str, seed: u64) -> Result<Self> {
        let part = data.part(Split::Train, seed)?;
        let test = data.test_part(seed)?.map(|part| part.dataset()).transpose()?;
        let (train, class_names) = (part.dataset()?, part.class_names);
        Ok(Against { name: name.to_owned(), train, test, class_names })
    }

    fn folder(name: &str, folder: &Path) -> Result<Self> {
        let read = pictures::read(folder, 3, &[])?;
        let (train, class_names) = (read.set, read.class_names);
        Ok(Against { name: name.to_owned(), train, test: None, class_names })
    }
}

/// Sets that have a name of their own.
const NAMES: [&str; 4] = ["digits", "fashion-mnist", "cifar10", "cifar100"];

fn has_idx(folder: &Path) -> bool {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|e| e.file_name().to_string_lossy().starts_with("train-images"))
}

fn hint(text: &str) -> String {
    match NAMES.iter().find(|name| strsim::jaro_winkler(text, name) > 0.8) {
        Some(near) => format!("did you mean {near}?"),
        None => {
            format!("expected one of {}, a folder that is there, or a .npz file", NAMES.join(", "))
        }
    }
}
