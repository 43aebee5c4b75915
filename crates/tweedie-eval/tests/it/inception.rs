//! The network of FID, with weights of a formula, against the same one in PyTorch.

use crate::support::{single, uniform};
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Kind};
use tweedie_eval::{Extractor, inception::Inception};
use tweedie_torch::weights::{self, KindPolicy};

/// Writes the 470 tensors of `golden/inception.json`.
fn write_weights(path: &Path) {
    let shapes = include_str!("../golden/inception.json");
    let shapes: BTreeMap<String, Vec<i64>> = serde_json::from_str(shapes).unwrap();
    let tensor = |(salt, (name, shape)): (usize, (&String, &Vec<i64>))| {
        let fan_in = shape[1..].iter().product::<i64>() as f64;
        let value = |u: f64| match name.rsplit_once('.').unwrap() {
            (layer, "weight") if layer.ends_with("conv") => u * (6.0 / fan_in).sqrt(),
            (_, "weight") => 1.0 + 0.2 * u,
            (_, "running_var") => 1.0 + 0.5 * u,
            _ => 0.1 * u,
        };
        let count = shape.iter().product::<i64>() as usize;
        (name.clone(), single(uniform(salt as u32, count).into_iter().map(value), shape))
    };
    let tensors: Vec<_> = shapes.iter().enumerate().map(tensor).collect();
    let named = tensors.iter().map(|(name, t)| (name.as_str(), t));
    weights::save(path, named, &BTreeMap::new(), None).unwrap();
}

#[test]
fn features_are_pytorchs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inception.safetensors");
    write_weights(&path);
    let inception = Inception::load(&path, Device::Cpu).unwrap();
    let bytes = uniform(9999, 2 * 3 * 20 * 24).into_iter().map(|u| ((u + 1.0) * 128.0).floor());
    let images = single(bytes.map(|b| b / 127.5 - 1.0), &[2, 3, 20, 24]);
    let found = inception.features(&images).unwrap();

    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/inception.safetensors");
    let golden = weights::load(&golden, KindPolicy::Keep, Device::Cpu).unwrap();
    let expected = &golden["features"];
    assert_eq!(found.size(), [2, 2048]);
    let largest = expected.abs().max().double_value(&[]);
    let error = (&found - expected).abs().max().double_value(&[]) / largest;
    // 47 layers of single precision, norms folded into weights.
    assert!(error < 1e-4, "{error} of {largest}");
    // The features depend on the image: the two are far apart.
    let apart = (found.get(0) - found.get(1)).abs().max().double_value(&[]) / largest;
    assert!(apart > 1e-2, "{apart}");
    let alone = inception.features(&images.narrow(0, 1, 1)).unwrap();
    let error = (alone.get(0) - found.get(1)).abs().max().double_value(&[]) / largest;
    assert!(error < 1e-5, "alone and in a batch: {error}");
    assert!(inception.features(&images.to_kind(Kind::Float).narrow(1, 0, 2)).is_err());
}
