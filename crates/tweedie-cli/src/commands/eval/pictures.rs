//! A folder of images, a class a sub-folder if there are any.

use crate::output::usage;
use anyhow::Result;
use std::path::Path;
use tweedie::data::Dataset;
use tweedie::data::images::ImageFolder;
use tweedie::torch::tensor;

/// Images and what their classes are called.
pub(super) struct Pictures {
    pub(super) set: Dataset,
    pub(super) class_names: Vec<String>,
}

/// Reads all images of a folder, in the order of their names, with 1 or 3 channels each.
///
/// Classes of the folder bear names of `classes`, or numbers; without `classes` they are counted in
/// the order of their names.
///
/// # Errors
/// If there are none, one cannot be read, or sizes differ: a measure of images that were resized on
/// the way would be one of the resizing too.
pub(super) fn read(folder: &Path, channels: i64, classes: &[String]) -> Result<Pictures> {
    let images = ImageFolder::of_one_size(folder, channels as usize)?;
    let (set, own) = (images.dataset()?, images.class_names());
    if classes.is_empty() {
        return Ok(Pictures { set, class_names: own.to_vec() });
    }
    let known = own.iter().map(|name| label(name, classes)).collect::<Result<Vec<_>>>()?;
    let labels = set.labels().map(|own| {
        let known = tensor::from_i64(&known, &[known.len() as i64])?;
        anyhow::Ok(known.index_select(0, own))
    });
    let set = Dataset::new(set.samples().shallow_clone(), labels.transpose()?)?;
    Ok(Pictures { set, class_names: classes.to_vec() })
}

fn label(class: &str, names: &[String]) -> Result<i64> {
    let named = names.iter().position(|name| name == class).map(|i| i as i64);
    named.or_else(|| class.parse().ok().filter(|n: &i64| *n >= 0)).ok_or_else(|| {
        usage(format!("the sub-folder {class:?} is no class of the data: {}", names.join(", ")))
    })
}
