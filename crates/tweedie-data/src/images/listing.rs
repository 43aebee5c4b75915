//! Which files a folder holds.

use super::table;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// The files of a set and what is known about them.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) folder: PathBuf,
    pub(super) paths: Vec<PathBuf>,
    /// As many as paths.
    pub(super) labels: Option<Vec<i64>>,
    /// Empty without labels.
    pub(super) class_names: Vec<String>,
    /// As many as paths.
    pub(super) texts: Option<Vec<String>>,
}

/// The endings of the files that are looked for, in any case.
const ENDINGS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// The images of a folder, in the order of their names.
pub(super) fn list(folder: &Path) -> Result<Listing> {
    // So that a folder that is not there is told as such.
    std::fs::read_dir(folder).map_err(Error::file(folder))?;
    if let Some(table) = table::find(folder) {
        return table::read(folder, &table);
    }
    let paths = images(folder)?;
    if paths.is_empty() {
        let looked_for = format!("*.{}", ENDINGS.join(", *."));
        return Err(Error::Missing { path: folder.into(), what: "images", looked_for });
    }
    let classes: Option<Vec<String>> = paths.iter().map(|path| class(folder, path)).collect();
    let folder = folder.to_path_buf();
    let Some(classes) = classes else {
        let (labels, class_names, texts) = (None, vec![], None);
        return Ok(Listing { folder, paths, labels, class_names, texts });
    };
    let (labels, class_names) = numbered(&classes);
    no_class_is_empty(&folder, &class_names)?;
    Ok(Listing { folder, paths, labels: Some(labels), class_names, texts: None })
}

/// The images below a folder, hidden files and folders left out.
fn images(folder: &Path) -> Result<Vec<PathBuf>> {
    let hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    let mut paths = vec![];
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || !hidden(entry.file_name())) {
        let entry = entry.map_err(|e| {
            let path = e.path().unwrap_or(folder).to_path_buf();
            Error::File { path, source: e.into() }
        })?;
        let ending = entry.path().extension().map(|e| e.to_string_lossy().to_lowercase());
        if entry.file_type().is_file() && ending.is_some_and(|e| ENDINGS.contains(&&*e)) {
            paths.push(entry.into_path());
        }
    }
    Ok(paths)
}

/// The sub-folder that a file is in.
fn class(folder: &Path, path: &Path) -> Option<String> {
    let mut parts = path.strip_prefix(folder).ok()?.components();
    let first = parts.next()?.as_os_str().to_string_lossy().into_owned();
    parts.next().map(|_| first)
}

/// A sub-folder without images would shift the numbers of the classes after it, unnoticed.
/// `classes` are in order.
fn no_class_is_empty(folder: &Path, classes: &[String]) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::file(folder))? {
        let entry = entry.map_err(Error::file(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if path.is_dir() && !name.starts_with('.') && classes.binary_search(&name).is_err() {
            let looked_for = format!("*.{}: each sub-folder is a class", ENDINGS.join(", *."));
            return Err(Error::Missing { path, what: "images", looked_for });
        }
    }
    Ok(())
}

/// A number for each name, in the order of the names, and the names.
pub(super) fn numbered(classes: &[String]) -> (Vec<i64>, Vec<String>) {
    let mut numbers: BTreeMap<&str, i64> = classes.iter().map(|name| (&**name, 0)).collect();
    for (i, number) in numbers.values_mut().enumerate() {
        *number = i as i64;
    }
    let labels = classes.iter().map(|name| numbers[&**name]).collect();
    (labels, numbers.into_keys().map(str::to_owned).collect())
}
