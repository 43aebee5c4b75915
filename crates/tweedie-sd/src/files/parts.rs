//! The weights of one part: a file, or several with an index.

use super::{Part, refuse_pickle};
use crate::options::read_json;
use crate::{Error, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tweedie_torch::weights::Store;

/// An index of a large model has some thousand lines.
const MOST_BYTES: u64 = 64 << 20;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The weights of `part` in `folder`.
pub(super) fn weights(folder: &Path, part: Part, variant: Option<&str>) -> Result<Store> {
    let files = list(folder)?;
    match chosen(&files, part.stem(), variant) {
        Some(name) if name.ends_with(".json") => sharded(folder, name),
        Some(name) => Ok(Store::open(&folder.join(name))?),
        None => Err(missing(folder, &files, part.stem())),
    }
}

/// Of a folder's `files` the one with the weights, or their index: of the variant that is asked for
/// (`fp16`), or else the plain one, or else that of any variant.
pub(super) fn chosen<'f>(
    files: &'f BTreeSet<String>,
    stem: &str,
    variant: Option<&str>,
) -> Option<&'f str> {
    let plain = [format!("{stem}.safetensors"), format!("{stem}.safetensors.index.json")];
    let wanted = variant
        .map(|v| [format!("{stem}.{v}.safetensors"), format!("{stem}.safetensors.index.{v}.json")]);
    let any = || files.iter().find(|file| variant_of(file, stem).is_some());
    let named = wanted.iter().flatten().chain(&plain).find_map(|name| files.get(name));
    named.or_else(any).map(String::as_str)
}

/// `fp16` of `model.fp16.safetensors` and of `model.safetensors.index.fp16.json`.
fn variant_of<'f>(file: &'f str, stem: &str) -> Option<&'f str> {
    let rest = file.strip_prefix(stem)?.strip_prefix('.')?;
    let one = rest.strip_suffix(".safetensors").filter(|v| !v.contains("-of-"));
    one.or_else(|| rest.strip_prefix("safetensors.index.")?.strip_suffix(".json"))
}

/// That one part at least of the model at `path` has the variant: diffusers saves some parts in one
/// kind only. `lists` has the files of each.
pub(super) fn check_variant(
    path: &Path,
    variant: &str,
    lists: &[(Part, BTreeSet<String>)],
) -> Result<()> {
    let of = |(part, files): &(Part, BTreeSet<String>)| -> Vec<String> {
        files.iter().filter_map(|f| variant_of(f, part.stem())).map(str::to_owned).collect()
    };
    let there: BTreeSet<String> = lists.iter().flat_map(of).collect();
    if there.contains(variant) {
        return Ok(());
    }
    let there: Vec<&str> = there.iter().map(String::as_str).collect();
    let there =
        if there.is_empty() { "none but the plain one".to_owned() } else { there.join(", ") };
    Err(Error::model(
        path,
        format!("it has no weights of the variant {variant:?}: there is {there}"),
    ))
}

pub(super) fn list(folder: &Path) -> Result<BTreeSet<String>> {
    let entries = std::fs::read_dir(folder).map_err(Error::file(folder))?;
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        Ok(entry.map_err(Error::file(folder))?.file_name().to_string_lossy().into_owned())
    };
    entries.map(name).collect()
}

/// No weights that can be read: perhaps others are there.
pub(super) fn missing(folder: &Path, files: &BTreeSet<String>, stem: &str) -> Error {
    let pickle = files.iter().map(|f| refuse_pickle(&folder.join(f))).find_map(Result::err);
    pickle.unwrap_or_else(|| Error::model(folder, format!("{stem}.safetensors is missing")))
}

/// The files that an index names.
#[cfg(feature = "hf-hub")]
pub(super) fn shards(index: &Path) -> Result<BTreeSet<String>> {
    Ok(names(&weight_map(index)?).into_iter().cloned().collect())
}

fn names(weight_map: &BTreeMap<String, String>) -> BTreeSet<&String> {
    weight_map.values().collect()
}

/// The file of each tensor, which is beside the index and not elsewhere.
fn weight_map(index: &Path) -> Result<BTreeMap<String, String>> {
    let Index { weight_map } = read_json(index, MOST_BYTES)?;
    let elsewhere = |name: &&String| {
        Path::new(name).components().count() != 1 || name.contains('\\') || *name == ".."
    };
    match weight_map.values().find(elsewhere) {
        Some(name) => {
            Err(Error::model(index, format!("it names the file {name:?}, expected one beside it")))
        }
        None => Ok(weight_map),
    }
}

fn sharded(folder: &Path, index: &str) -> Result<Store> {
    let path = folder.join(index);
    let weight_map = weight_map(&path)?;
    let mut shards: Vec<PathBuf> = vec![];
    for name in names(&weight_map) {
        let shard = folder.join(name);
        refuse_pickle(&shard)?;
        if !shard.is_file() {
            return Err(Error::model(&path, format!("the shard {name} is missing")));
        }
        shards.push(shard);
    }
    let store = Store::open_all(shards)?;
    let lost: Vec<&String> = weight_map.keys().filter(|name| store.info(name).is_none()).collect();
    match lost[..] {
        [] => Ok(store),
        [first, ..] => {
            let (n, file) = (lost.len(), &weight_map[first]);
            Err(Error::model(
                &path,
                format!("{n} tensors of it are in no shard; {first} is not in {file}"),
            ))
        }
    }
}
