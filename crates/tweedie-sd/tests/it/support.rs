use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};
use tweedie_torch::weights::Store;

pub(crate) const PIPELINES: [&str; 5] = ["sd15", "sd21", "sdxl", "refiner", "inpaint"];

pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

pub(crate) fn json(name: &str) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(golden(name)).unwrap()).unwrap()
}

/// What diffusers gave for a pipeline, by name.
pub(crate) struct Golden(Store);

impl Golden {
    pub(crate) fn of(pipeline: &str) -> Self {
        Golden(Store::open(&golden(&format!("{pipeline}.safetensors"))).unwrap())
    }

    pub(crate) fn at(path: &Path) -> Self {
        Golden(Store::open(path).unwrap())
    }

    pub(crate) fn get(&self, name: &str) -> Option<Tensor> {
        self.0.get(name).unwrap()
    }

    pub(crate) fn tensor(&self, name: &str) -> Tensor {
        self.get(name).unwrap_or_else(|| panic!("no golden {name}"))
    }
}

/// The largest difference, as a share of the largest value or of 1.
pub(crate) fn off(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let size = f64::try_from(expected.abs().max()).unwrap().max(1.0);
    f64::try_from((found - expected).abs().max()).unwrap() / size
}

pub(crate) const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);
