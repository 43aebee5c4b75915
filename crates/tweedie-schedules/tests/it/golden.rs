//! Reads the golden files, which `tests/golden/make.py` wrote.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

/// The part `name` of a golden file.
pub(crate) fn part<T: DeserializeOwned>(file: &str, name: &str) -> T {
    let parts: BTreeMap<String, serde_json::Value> = serde_json::from_str(file).unwrap();
    serde_json::from_value(parts[name].clone()).unwrap()
}

/// A table at a few indices.
#[derive(serde::Deserialize)]
pub(crate) struct Some {
    pub(crate) len: usize,
    pub(crate) index: Vec<usize>,
    pub(crate) value: Vec<f64>,
}

/// Every number within `relative` of the expected one, and as many of them.
#[track_caller]
pub(crate) fn close(found: &[f64], expected: &[f64], relative: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: {found:?} {expected:?}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= relative * b.abs(), "{what}: {a} at {i}, expected {b}");
    }
}
