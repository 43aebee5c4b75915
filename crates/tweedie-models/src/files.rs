//! Weights files that say what they are: safetensors whose metadata hold the model's settings.
//!
//! The tensors have smalldiffusion's names (`net.0.weight`, `cond_embed.embeddings.weight`), so a
//! state dict saved from there loads by [`load_weights`], and a file from here loads there.

use crate::{Error, ModelSpec, Result, Trainable};
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Kind};
use tweedie_core::{Model, Parametrization};
use tweedie_torch::weights::{self, KindPolicy};

const MODEL: &str = "model";
const PARAMETRIZATION: &str = "parametrization";

/// What a weights file says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The settings that build the network.
    pub spec: ModelSpec,
    /// What its input and output mean.
    pub parametrization: Parametrization,
}

impl Description {
    /// The notes of a file, as JSON: `model` and `parametrization`.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let json = |value: serde_json::Result<String>| value.unwrap_or_default();
        BTreeMap::from([
            (MODEL.to_owned(), json(serde_json::to_string(&self.spec))),
            (PARAMETRIZATION.to_owned(), json(serde_json::to_string(&self.parametrization))),
        ])
    }

    /// Reads what a file says of itself, without reading its tensors.
    ///
    /// # Errors
    /// If the file is broken, or says nothing of the kind (then [`load_weights`] is the way).
    pub fn of(path: &Path) -> Result<Self> {
        let notes = weights::header(path)?.metadata;
        let undescribed = |problem| Error::Undescribed { path: path.to_owned(), problem };
        let note = |key: &str| {
            notes.get(key).ok_or_else(|| undescribed(format!("no {key} in its metadata")))
        };
        let wrong = |key: &str, e: serde_json::Error| undescribed(format!("{key}: {e}"));
        let description = Description {
            spec: serde_json::from_str(note(MODEL)?).map_err(|e| wrong(MODEL, e))?,
            parametrization: serde_json::from_str(note(PARAMETRIZATION)?)
                .map_err(|e| wrong(PARAMETRIZATION, e))?,
        };
        description.spec.check()?;
        description.parametrization.check()?;
        Ok(description)
    }
}

/// Saves a model's weights with its description, whole or not at all; in `kind` on disk if one is
/// given (`Float`, `Half`, `BFloat16`), else as they are.
pub fn save(
    path: &Path,
    model: &dyn Trainable,
    parametrization: &Parametrization,
    kind: Option<Kind>,
) -> Result<()> {
    let description = Description { spec: model.spec(), parametrization: *parametrization };
    Ok(weights::save(path, model.parameters().named(), &description.metadata(), kind)?)
}

/// Builds the model that a file describes and loads its weights: exactly its names and shapes.
/// The weights are kept as `kind` on `device`, whatever the file has.
pub fn load(path: &Path, kind: Kind, device: Device) -> Result<Model<Box<dyn Trainable>>> {
    let Description { spec, parametrization } = Description::of(path)?;
    let network = spec.build(0, kind, device)?;
    load_weights(path, network.as_ref())?;
    Ok(Model::new(network, parametrization)?)
}

/// Loads a file's weights into a model that is there already: exactly its names and shapes, of any
/// floating-point kind. Nothing is changed unless everything fits.
pub fn load_weights(path: &Path, model: &dyn Trainable) -> Result<()> {
    let parameters = model.parameters();
    let mut dict = weights::load(path, KindPolicy::Keep, parameters.device())?;
    model.adapt(&mut dict);
    Ok(parameters.load(&dict)?)
}
