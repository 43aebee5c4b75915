//! A folder of PNG or JPEG images, a class a sub-folder if there are any.

use crate::files::extension;
use crate::output::usage;
use anyhow::{Context, Result};
use image::GenericImageView;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tweedie::data::Dataset;
use tweedie::torch::tensor;

/// Images and what their classes are called.
pub(super) struct Pictures {
    pub(super) set: Dataset,
    pub(super) class_names: Vec<String>,
}

/// The most numbers that a folder may hold: images are kept as bytes.
const LIMIT: usize = 16 << 30;

/// Reads all images of a folder, in the order of their names, with 1 or 3 channels each.
///
/// Sub-folders are classes: they bear names of `classes`, or numbers; without `classes` they are
/// counted in the order of their names.
///
/// # Errors
/// If there are none, one cannot be read, or sizes differ.
pub(super) fn read(folder: &Path, channels: i64, classes: &[String]) -> Result<Pictures> {
    let files = list(folder)?;
    let own: Vec<String> = files.keys().filter(|name| !name.is_empty()).cloned().collect();
    let names = if classes.is_empty() { &own[..] } else { classes };
    let (mut bytes, mut labels, mut size) = (vec![], vec![], None);
    for (class, paths) in &files {
        let label = if class.is_empty() { None } else { Some(label(class, names)?) };
        for path in paths {
            let image = image::open(path).with_context(|| path.display().to_string())?;
            let (expected, first) = size.get_or_insert_with(|| (image.dimensions(), path.clone()));
            anyhow::ensure!(
                image.dimensions() == *expected,
                "{} is {:?} pixels, but {} is {expected:?}: all must have one size",
                path.display(),
                image.dimensions(),
                first.display(),
            );
            append(&image, channels, &mut bytes);
            anyhow::ensure!(
                bytes.len() <= LIMIT,
                "{}: more than 16 GiB of images",
                folder.display()
            );
            labels.extend(label);
        }
    }
    let Some(((width, height), _)) = size else {
        anyhow::bail!("{}: no images in it (.png, .jpg, .jpeg)", folder.display());
    };
    let shape = [channels, i64::from(height), i64::from(width)];
    let n = bytes.len() as i64 / shape.iter().product::<i64>();
    let x = tensor::from_u8(&bytes, &[&[n], &shape[..]].concat())?;
    // Some beside sub-folders and some within: then no class is known of all.
    let labels = (labels.len() as i64 == n).then(|| tensor::from_i64(&labels, &[n])).transpose()?;
    Ok(Pictures { set: Dataset::new(x, labels)?, class_names: names.to_vec() })
}

fn label(class: &str, names: &[String]) -> Result<i64> {
    let named = names.iter().position(|name| name == class).map(|i| i as i64);
    named.or_else(|| class.parse().ok().filter(|n: &i64| *n >= 0)).ok_or_else(|| {
        usage(format!("the sub-folder {class:?} is no class of the data: {}", names.join(", ")))
    })
}

/// Rows of one channel after the other.
fn append(image: &image::DynamicImage, channels: i64, bytes: &mut Vec<u8>) {
    if channels == 1 {
        return bytes.extend(image.to_luma8().into_raw());
    }
    let rgb = image.to_rgb8();
    for channel in 0..3 {
        bytes.extend(rgb.pixels().map(|pixel| pixel.0[channel]));
    }
}

/// Images by sub-folder, `""` for those beside it.
fn list(folder: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let entries = |folder: &Path| -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        paths.sort();
        Ok(paths)
    };
    let is_image = |path: &PathBuf| ["png", "jpg", "jpeg"].contains(&extension(path).as_str());
    let mut found = BTreeMap::new();
    let all = entries(folder)?;
    let beside: Vec<PathBuf> = all.iter().filter(|path| is_image(path)).cloned().collect();
    if !beside.is_empty() {
        found.insert(String::new(), beside);
    }
    for below in all.iter().filter(|path| path.is_dir()) {
        let within: Vec<PathBuf> = entries(below)?.into_iter().filter(is_image).collect();
        let name = below.file_name().map(|name| name.to_string_lossy().into_owned());
        if let Some(name) = name.filter(|_| !within.is_empty()) {
            found.insert(name, within);
        }
    }
    Ok(found)
}
