//! The data that samples are compared with, as training and test split.

use super::pictures;
use super::samples::OpenRun;
use crate::files::extension;
use crate::output::usage;
use anyhow::Result;
use std::path::{Path, PathBuf};
use tweedie::data::idx::{self, Split};
use tweedie::data::{Dataset, digits};

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
            "digits" => Self::digits(),
            "fashion-mnist" => Self::idx(text, &Path::new("data").join(text)),
            _ if path.is_dir() && has_idx(path) => Self::idx(text, path),
            _ if path.is_dir() => Self::folder(text, path),
            _ if extension(path) == "npz" => {
                let train = super::npz(path)?;
                Ok(Against { name: text.to_owned(), train, test: None, class_names: vec![] })
            }
            _ => Err(usage(format!("--against {text}: {}", hint(text)))),
        }
    }

    /// What a run learnt from. The one place that knows how a recipe's data have splits.
    pub(super) fn of_run(open: &OpenRun) -> Result<Self> {
        let recipe = &open.run.recipe;
        let name = recipe.data.name();
        let settings = serde_json::to_value(&recipe.data)?;
        let usual = || PathBuf::from("data").join(name);
        let folder = settings["path"].as_str().map_or_else(usual, PathBuf::from);
        match name {
            "digits" => Self::digits(),
            "fashion-mnist" | "idx" => Self::idx(name, &folder),
            _ => {
                let spec = open.run.model.network.spec();
                let (train, _) = recipe.data.load(&spec, recipe.seed)?;
                Ok(Against { name: name.to_owned(), train, test: None, class_names: vec![] })
            }
        }
    }

    fn digits() -> Result<Self> {
        let class_names = (0..10).map(|d| d.to_string()).collect();
        let (train, test) = (digits::train()?, Some(digits::test()?));
        Ok(Against { name: "digits".to_owned(), train, test, class_names })
    }

    fn idx(name: &str, folder: &Path) -> Result<Self> {
        if !folder.is_dir() && name == "fashion-mnist" {
            anyhow::bail!(
                "Fashion-MNIST is not in {}: `cargo xtask data fashion-mnist` fetches it",
                folder.display()
            );
        }
        let train = idx::image_set(folder, Split::Train)?;
        let test = Some(idx::image_set(folder, Split::Test)?);
        Ok(Against { name: name.to_owned(), train, test, class_names: vec![] })
    }

    fn folder(name: &str, folder: &Path) -> Result<Self> {
        let read = pictures::read(folder, 3, &[])?;
        let (train, class_names) = (read.set, read.class_names);
        Ok(Against { name: name.to_owned(), train, test: None, class_names })
    }
}

fn has_idx(folder: &Path) -> bool {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|e| e.file_name().to_string_lossy().starts_with("train-images"))
}

fn hint(text: &str) -> String {
    const NAMES: [&str; 2] = ["digits", "fashion-mnist"];
    match NAMES.iter().find(|name| strsim::jaro_winkler(text, name) > 0.8) {
        Some(near) => format!("did you mean {near}?"),
        None => {
            format!("expected one of {}, a folder that is there, or a .npz file", NAMES.join(", "))
        }
    }
}
