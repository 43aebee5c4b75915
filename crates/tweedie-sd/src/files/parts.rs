//! The weights of one part: a file, or several with an index.

use super::refuse_pickle;
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

/// The weights in `folder`, whose files are called `stem` (`diffusion_pytorch_model`, `model`): of the
/// variant that is asked for (`fp16`), or else the plain ones, or else any variant that is there.
pub(crate) fn weights(folder: &Path, stem: &str, variant: Option<&str>) -> Result<Store> {
    let files = list(folder)?;
    let plain = format!("{stem}.safetensors");
    let index = format!("{stem}.safetensors.index.json");
    let wanted = variant
        .map(|v| [format!("{stem}.{v}.safetensors"), format!("{stem}.safetensors.index.{v}.json")]);
    let any = || {
        let one =
            |f: &&String| f.starts_with(stem) && f.ends_with(".safetensors") && !f.contains("-of-");
        let many = |f: &&String| f.starts_with(&index[..index.len() - 5]) && f.ends_with(".json");
        files.iter().find(one).or_else(|| files.iter().find(many))
    };
    let has = |name: &&String| files.contains(*name);
    let found =
        wanted.iter().flatten().find(has).or_else(|| [&plain, &index].into_iter().find(has));
    match found.or_else(any) {
        Some(name) if name.ends_with(".json") => sharded(folder, name),
        Some(name) => Ok(Store::open(&folder.join(name))?),
        None => Err(missing(folder, &files, &plain)),
    }
}

fn list(folder: &Path) -> Result<BTreeSet<String>> {
    let entries = std::fs::read_dir(folder).map_err(Error::file(folder))?;
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        Ok(entry.map_err(Error::file(folder))?.file_name().to_string_lossy().into_owned())
    };
    entries.map(name).collect()
}

/// No weights that can be read: perhaps others are there.
fn missing(folder: &Path, files: &BTreeSet<String>, expected: &str) -> Error {
    let pickle = files.iter().map(|f| refuse_pickle(&folder.join(f))).find_map(Result::err);
    pickle.unwrap_or_else(|| Error::model(folder, format!("{expected} is missing")))
}

fn sharded(folder: &Path, index: &str) -> Result<Store> {
    let path = folder.join(index);
    let Index { weight_map } = read_json(&path, MOST_BYTES)?;
    let names: BTreeSet<&String> = weight_map.values().collect();
    let mut shards: Vec<PathBuf> = vec![];
    for name in names {
        // An index names files beside it, not elsewhere.
        if Path::new(name).components().count() != 1 || name.contains('\\') || name == ".." {
            return Err(Error::model(
                &path,
                format!("it names the file {name:?}, expected one beside it"),
            ));
        }
        refuse_pickle(&folder.join(name))?;
        let shard = folder.join(name);
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
