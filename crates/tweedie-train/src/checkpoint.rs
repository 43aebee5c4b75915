//! Checkpoints that a killed run goes on from, bit for bit.
//!
//! A checkpoint is a folder `step-000500` with `model.safetensors`, `ema.safetensors` (if averaged
//! weights are kept), `optimizer.safetensors` and `state.json`. It is written beside its place
//! under another name, synced and then renamed; `state.json` lists the files with their sizes, so
//! a folder that is not whole is known.

use crate::{Error, Result, Trainer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tch::{Device, Tensor};
use tweedie_data::LoaderState;
use tweedie_models::files::{self, Description};
use tweedie_torch::weights::{self, KindPolicy};

/// The file names of a checkpoint.
pub const MODEL: &str = "model.safetensors";
/// Averaged weights, if any are kept.
pub const EMA: &str = "ema.safetensors";
/// The optimiser's state.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// Everything else.
pub const STATE: &str = "state.json";

/// `state.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The version of this layout.
    pub format: u32,
    /// Steps taken. All noise follows from it and the seed.
    pub step: u64,
    /// The seed of the run.
    pub seed: u64,
    /// Where the loader is.
    pub loader: LoaderState,
    /// The other files and their sizes.
    pub files: BTreeMap<String, u64>,
}

const FORMAT: u32 = 1;
/// How the names of folders begin that are being written.
pub(crate) const UNFINISHED: &str = ".unfinished-";

/// Writes a checkpoint of `trainer` into `folder` and returns its path.
pub fn save(trainer: &Trainer, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).map_err(Error::file(folder))?;
    let unfinished = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(folder)
        .map_err(Error::file(folder))?;
    write(trainer, unfinished.path())?;
    let path = folder.join(format!("step-{:06}", trainer.step()));
    if path.exists() {
        fs::remove_dir_all(&path).map_err(Error::file(&path))?;
    }
    fs::rename(unfinished.path(), &path).map_err(Error::file(&path))?;
    // Renamed away: there is nothing left for the guard to delete.
    let _ = unfinished.keep();
    sync(folder)?;
    Ok(path)
}

fn write(trainer: &Trainer, folder: &Path) -> Result<()> {
    let parts = trainer.parts();
    let network = parts.model.network.as_ref();
    let names = || network.parameters().named().map(|(name, _)| name);
    files::save(&folder.join(MODEL), network, &parts.model.parametrization, None)?;
    let spec = network.spec();
    let notes = Description { spec, parametrization: parts.model.parametrization }.metadata();
    if let Some(ema) = parts.ema {
        weights::save(&folder.join(EMA), names().zip(ema), &notes, None)?;
    }
    let state = parts.optimizer.state_dict(names());
    let state = state.iter().map(|(name, t)| (name.as_str(), t));
    weights::save(&folder.join(OPTIMIZER), state, &BTreeMap::new(), None)?;
    let state = State {
        format: FORMAT,
        step: trainer.step(),
        seed: trainer.config().seed,
        loader: parts.loader.state(),
        files: sizes(folder)?,
    };
    let json = serde_json::to_vec_pretty(&state).unwrap_or_default();
    weights::atomically(&folder.join(STATE), |file| std::io::Write::write_all(file, &json))?;
    // mkdtemp's folders are for their owner alone; a checkpoint is as readable as the run.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
            .map_err(Error::file(folder))?;
    }
    sync(folder)
}

fn sizes(folder: &Path) -> Result<BTreeMap<String, u64>> {
    let mut sizes = BTreeMap::new();
    for name in [MODEL, EMA, OPTIMIZER] {
        let path = folder.join(name);
        if path.exists() {
            sizes.insert(name.to_owned(), fs::metadata(&path).map_err(Error::file(&path))?.len());
        }
    }
    Ok(sizes)
}

/// Makes a rename within `folder` last through a power cut.
fn sync(folder: &Path) -> Result<()> {
    let file = fs::File::open(folder).map_err(Error::file(folder))?;
    file.sync_all().map_err(Error::file(folder))
}

/// Reads the state of a checkpoint and sees that its files are whole.
pub fn state(checkpoint: &Path) -> Result<State> {
    let path = checkpoint.join(STATE);
    let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
    let broken = |problem: String| Error::State { path: path.clone(), problem };
    let state: State = serde_json::from_str(&text).map_err(|e| broken(e.to_string()))?;
    if state.format != FORMAT {
        return Err(broken(format!("format {} is not {FORMAT}", state.format)));
    }
    for (name, &size) in &state.files {
        let file = checkpoint.join(name);
        let found = fs::metadata(&file).map_err(Error::file(&file))?.len();
        if found != size {
            return Err(broken(format!("{name} has {found} bytes, expected {size}")));
        }
    }
    Ok(state)
}

/// The checkpoints of a folder.
#[derive(Debug, Default)]
pub struct Listing {
    /// Step and place of each whole one, oldest first.
    pub whole: Vec<(u64, PathBuf)>,
    /// What is wrong with the others.
    pub broken: Vec<String>,
}

/// The checkpoints of a folder; none if there is no such folder.
pub fn list(folder: &Path) -> Result<Listing> {
    let Listing { mut whole, mut broken } = Listing::default();
    if !folder.exists() {
        return Ok(Listing::default());
    }
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let path = entry.map_err(Error::file(folder))?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        match name.strip_prefix("step-").and_then(|n| n.parse().ok()) {
            Some(step) => match state(&path) {
                Ok(state) if state.step == step => whole.push((step, path)),
                Ok(state) => broken.push(format!("{name} is of step {}", state.step)),
                Err(error) => broken.push(error.to_string()),
            },
            None if name.starts_with(UNFINISHED) => {
                broken.push(format!("{name} was never finished"));
            }
            None => {}
        }
    }
    whole.sort();
    broken.sort();
    Ok(Listing { whole, broken })
}

/// Brings `trainer`, made with the same settings, to where the checkpoint was written.
pub fn resume(trainer: &mut Trainer, checkpoint: &Path) -> Result<()> {
    let state = state(checkpoint)?;
    if state.seed != trainer.config().seed {
        return Err(Error::invalid("the seed", trainer.config().seed, "the checkpoint's"));
    }
    {
        let parts = trainer.parts();
        let parameters = parts.model.network.parameters();
        let within = |name| {
            let path = checkpoint.join(name);
            move |source| Error::Weights { path, source }
        };
        let read = |name| weights::load(&checkpoint.join(name), KindPolicy::Keep, Device::Cpu);
        let names: Vec<&str> = parameters.named().map(|(name, _)| name).collect();
        let optimizer = parts.optimizer.state_dict(names.iter().copied());
        let optimizer: Vec<(&str, &Tensor)> =
            optimizer.iter().map(|(n, t)| (n.as_str(), t)).collect();
        parameters.load(&read(MODEL)?).map_err(within(MODEL))?;
        weights::load_into(optimizer, &read(OPTIMIZER)?).map_err(within(OPTIMIZER))?;
        if let Some(ema) = parts.ema {
            weights::load_into(names.into_iter().zip(ema), &read(EMA)?).map_err(within(EMA))?;
        }
    }
    trainer.go_on(state.step, state.loader)
}
