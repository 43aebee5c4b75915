//! Averages of any width, after the run: power-function averages that were stored on the way, and
//! what is made of them (Karras et al., arXiv:2312.02696, Algorithm 3).

use super::power::{self, Profile};
use crate::{Error, Result, Trainer};
use std::fs;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};
use tweedie_models::Description;
use tweedie_torch::weights::{self, KindPolicy, StateDict};

/// A stored average.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Its file: weights that describe themselves.
    pub path: PathBuf,
    /// Steps taken when it was stored.
    pub step: u64,
    /// Its width.
    pub sigma_rel: f64,
}

const STEP: &str = "step";
const SIGMA_REL: &str = "sigma_rel";

/// Stores the power-function averages of `trainer` in `folder`, a file each.
pub fn save(trainer: &Trainer, folder: &Path) -> Result<()> {
    let parts = trainer.parts();
    let network = parts.model.network.as_ref();
    let mut notes =
        Description { spec: network.spec(), parametrization: parts.model.parametrization }
            .metadata();
    notes.insert(STEP.to_owned(), trainer.step().to_string());
    for (sigma_rel, average) in parts.averages.post_hoc() {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
        notes.insert(SIGMA_REL.to_owned(), sigma_rel.to_string());
        let names = network.parameters().named().map(|(name, _)| name);
        let path = folder.join(format!("step-{:06}-{sigma_rel}.safetensors", trainer.step()));
        weights::save(&path, names.zip(&average.tensors), &notes, None)?;
    }
    Ok(())
}

/// The averages that are stored in `folder`, oldest first; none if there is no such folder.
///
/// # Errors
/// If one of its safetensors files is broken, or is no stored average.
pub fn list(folder: &Path) -> Result<Vec<Snapshot>> {
    let mut snapshots = Vec::new();
    if !folder.exists() {
        return Ok(snapshots);
    }
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let path = entry.map_err(Error::file(folder))?.path();
        if path.extension().is_some_and(|e| e == "safetensors") {
            snapshots.push(read(path)?);
        }
    }
    snapshots.sort_by(|a, b| (a.step, &a.path).cmp(&(b.step, &b.path)));
    Ok(snapshots)
}

fn read(path: PathBuf) -> Result<Snapshot> {
    let notes = weights::header(&path)?.metadata;
    let step = notes.get(STEP).and_then(|text| text.parse().ok()).filter(|&step: &u64| step > 0);
    let sigma_rel = notes.get(SIGMA_REL).and_then(|text| text.parse().ok());
    match (step, sigma_rel) {
        (Some(step), Some(sigma_rel)) if power::gamma(sigma_rel).is_ok() => {
            Ok(Snapshot { path, step, sigma_rel })
        }
        _ => {
            let problem = "its notes have no step and sigma_rel: not a stored average".to_owned();
            Err(Error::State { path, problem })
        }
    }
}

/// The weights that a power-function average of width `sigma_rel` had at `step`, from the averages
/// in `folder` that were stored until then. One of them is in memory at a time.
///
/// # Errors
/// If none were stored, the width makes no sense, or files do not fit together.
pub fn reconstruct(folder: &Path, step: u64, sigma_rel: f64) -> Result<StateDict> {
    let target = Profile { gamma: power::gamma(sigma_rel)?, step: step as f64 };
    let mut snapshots = list(folder)?;
    snapshots.retain(|s| s.step <= step);
    if snapshots.is_empty() {
        return Err(Error::NoSnapshots(folder.to_owned()));
    }
    let profiles = snapshots
        .iter()
        .map(|s| Ok(Profile { gamma: power::gamma(s.sigma_rel)?, step: s.step as f64 }));
    let factors = power::coefficients(&profiles.collect::<Result<Vec<_>>>()?, target)?;
    let mut sum = StateDict::new();
    for (snapshot, factor) in snapshots.iter().zip(factors) {
        // Factors of either sign cancel: the sum is made in double precision.
        let dict = weights::load(&snapshot.path, KindPolicy::Cast(Kind::Double), Device::Cpu)?;
        add(&mut sum, dict, factor, &snapshot.path)?;
    }
    Ok(sum.into_iter().map(|(name, t)| (name, t.to_kind(Kind::Float))).collect())
}

fn add(sum: &mut StateDict, dict: StateDict, factor: f64, path: &Path) -> Result<()> {
    if sum.is_empty() {
        sum.extend(dict.into_iter().map(|(name, t)| (name, t * factor)));
        return Ok(());
    }
    let fits = |(name, t): (&String, &Tensor)| dict.get(name).is_some_and(|d| d.size() == t.size());
    if dict.len() != sum.len() || !sum.iter().all(fits) {
        let problem = "its names or shapes are not those of the averages before it".to_owned();
        return Err(Error::State { path: path.to_owned(), problem });
    }
    for (name, t) in dict {
        if let Some(sum) = sum.get_mut(&name) {
            let _ = sum.g_add_(&(t * factor));
        }
    }
    Ok(())
}
