//! Checkpoints that a killed run goes on from, bit for bit.
//!
//! A checkpoint is a folder `step-000500` with `model.safetensors`, `ema.safetensors` and
//! `ema-0.05.safetensors` (averaged weights, as far as they are kept), `optimizer.safetensors`,
//! `weighting.safetensors` (of a weighting that is learnt) and `state.json`. It is written beside
//! its place under another name, synced and then renamed; `state.json` lists the files with their
//! sizes, so a folder that is not whole is known, and their hashes, so that one which was put in
//! another's place is known when it is loaded.

use crate::hash::sha256;
use crate::trainer::Progress;
use crate::{Error, LossScale, Precision, Result, Trainer, retention};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tch::{Device, Tensor};
use tweedie_data::LoaderState;
use tweedie_models::files::{self, Description};
use tweedie_torch::tensor;
use tweedie_torch::weights::{self, KindPolicy};

/// The file names of a checkpoint.
pub const MODEL: &str = "model.safetensors";
/// Averaged weights, if any are kept.
pub const EMA: &str = "ema.safetensors";
/// A weighting that is learnt, if there is one.
pub const WEIGHTING: &str = "weighting.safetensors";
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
    /// Samples seen.
    #[serde(default)]
    pub samples: u64,
    /// Where the loader is.
    pub loader: LoaderState,
    /// What the network computed in: `f32`, `bf16` or `f16`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute: Option<String>,
    /// In half precision: what the loss was multiplied by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
    /// The validation loss of this step, if it was validated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<f64>,
    /// The other files and their sizes.
    pub files: BTreeMap<String, u64>,
    /// The SHA-256 of each; checkpoints of earlier versions have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sha256: BTreeMap<String, String>,
}

const FORMAT: u32 = 1;
/// How the names of folders begin that are being written.
pub(crate) const UNFINISHED: &str = ".unfinished-";

/// Writes a checkpoint of `trainer` into `folder` and returns its path.
///
/// # Errors
/// If a parameter is not finite, or the files cannot be written.
pub fn save(trainer: &Trainer, folder: &Path) -> Result<PathBuf> {
    check_finite(trainer)?;
    fs::create_dir_all(folder).map_err(Error::file(folder))?;
    let unfinished = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(folder)
        .map_err(Error::file(folder))?;
    write(trainer, unfinished.path())?;
    let path = folder.join(format!("step-{:06}", trainer.step()));
    if path.exists() {
        retention::remove(&path)?;
    }
    fs::rename(unfinished.path(), &path).map_err(Error::file(&path))?;
    // Renamed away: there is nothing left for the guard to delete.
    let _ = unfinished.keep();
    sync(folder)?;
    Ok(path)
}

/// A run whose weights are no numbers any more has nothing worth keeping.
fn check_finite(trainer: &Trainer) -> Result<()> {
    for (name, t) in trainer.parts().model.network.parameters().named() {
        if !tensor::all_finite(t)? {
            return Err(Error::Broken { step: trainer.step(), name: name.to_owned() });
        }
    }
    Ok(())
}

fn write(trainer: &Trainer, folder: &Path) -> Result<()> {
    let parts = trainer.parts();
    let network = parts.model.network.as_ref();
    let names = || network.parameters().named().map(|(name, _)| name);
    files::save(&folder.join(MODEL), network, &parts.model.parametrization, None)?;
    let spec = network.spec();
    let notes = Description { spec, parametrization: parts.model.parametrization }.metadata();
    for average in &parts.averages.all {
        weights::save(&folder.join(&average.file), names().zip(&average.tensors), &notes, None)?;
    }
    if let Some(uncertainty) = parts.uncertainty {
        weights::save(&folder.join(WEIGHTING), uncertainty.state(), &BTreeMap::new(), None)?;
    }
    let optimizer = parts.optimizer.state_dict(parts.trained_names());
    let optimizer = optimizer.iter().map(|(name, t)| (name.as_str(), t));
    weights::save(&folder.join(OPTIMIZER), optimizer, &BTreeMap::new(), None)?;
    let Progress { step, samples, .. } = parts.progress;
    let files = sizes(folder)?;
    let state = State {
        format: FORMAT,
        step,
        seed: trainer.config().seed,
        samples,
        loader: parts.loader.state(),
        compute: Some(Precision::name(network.compute_kind()).to_owned()),
        loss_scale: parts.loss_scale,
        validation: trainer.validated(),
        sha256: hashes(folder, files.keys())?,
        files,
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

/// The files of a folder and their sizes.
fn sizes(folder: &Path) -> Result<BTreeMap<String, u64>> {
    let mut sizes = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let entry = entry.map_err(Error::file(folder))?;
        let path = entry.path();
        let size = fs::metadata(&path).map_err(Error::file(&path))?.len();
        sizes.insert(entry.file_name().to_string_lossy().into_owned(), size);
    }
    Ok(sizes)
}

fn hashes<'a>(
    folder: &Path,
    names: impl Iterator<Item = &'a String>,
) -> Result<BTreeMap<String, String>> {
    names.map(|name| Ok((name.clone(), sha256(&folder.join(name))?))).collect()
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
    let broken = |problem: String| {
        let problem = format!("not a checkpoint's state: {problem}");
        Error::State { path: path.clone(), problem }
    };
    let state: State = serde_json::from_str(&text).map_err(|e| broken(e.to_string()))?;
    if state.format != FORMAT {
        return Err(broken(format!("format {} is not {FORMAT}", state.format)));
    }
    if state.loss_scale.is_some_and(|scale| !scale.is_sound()) {
        return Err(broken("loss_scale makes no sense".to_owned()));
    }
    for (name, &size) in &state.files {
        let file = checkpoint.join(name);
        let found = fs::metadata(&file).map_err(Error::file(&file))?.len();
        if found != size {
            let problem = format!("it has {found} bytes, expected {size}");
            return Err(Error::State { path: file, problem });
        }
    }
    Ok(state)
}

/// Sees that a file of a checkpoint is the one that was saved with it, where the state knows its
/// hash: another of the same size would load, and be other weights.
///
/// # Errors
/// If it is another one, or cannot be read.
pub fn verify(checkpoint: &Path, state: &State, name: &str) -> Result<()> {
    let Some(expected) = state.sha256.get(name) else { return Ok(()) };
    let path = checkpoint.join(name);
    if sha256(&path)? == *expected {
        return Ok(());
    }
    let problem = "it is not the file that this checkpoint was saved with: its hash is another";
    Err(Error::State { path, problem: problem.to_owned() })
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
    for name in state.files.keys() {
        verify(checkpoint, &state, name)?;
    }
    {
        let parts = trainer.parts();
        let parameters = parts.model.network.parameters();
        let within = |name: &str| {
            let path = checkpoint.join(name);
            move |source| Error::Weights { path, source }
        };
        let read =
            |name: &str| weights::load(&checkpoint.join(name), KindPolicy::Keep, Device::Cpu);
        let names = || parameters.named().map(|(name, _)| name);
        let optimizer = parts.optimizer.state_dict(parts.trained_names());
        let optimizer: Vec<(&str, &Tensor)> =
            optimizer.iter().map(|(n, t)| (n.as_str(), t)).collect();
        parameters.load(&read(MODEL)?).map_err(within(MODEL))?;
        weights::load_into(optimizer, &read(OPTIMIZER)?).map_err(within(OPTIMIZER))?;
        for average in &parts.averages.all {
            let named = names().zip(&average.tensors);
            weights::load_into(named, &read(&average.file)?).map_err(within(&average.file))?;
        }
        if let Some(uncertainty) = parts.uncertainty {
            let read = read(WEIGHTING)?;
            weights::load_into(uncertainty.state(), &read).map_err(within(WEIGHTING))?;
        }
    }
    let validated = state.validation.map(|loss| (state.step, loss));
    let progress = Progress { step: state.step, samples: state.samples, validated };
    trainer.go_on(progress, state.loader, state.loss_scale)
}
