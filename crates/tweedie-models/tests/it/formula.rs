//! The numbers of `tests/golden/formula.py`, and comparisons with what it kept.

use std::path::{Path, PathBuf};
use tch::Tensor;
use tweedie_models::Trainable;
use tweedie_torch::tensor::{from_f64, to_f64};
use tweedie_torch::weights::StateDict;

/// A golden file.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// `sin(start + i·step)`, `i` counting the elements row by row.
pub(crate) fn wave(shape: &[i64], step: f64, start: f64) -> Tensor {
    let n = shape.iter().product::<i64>();
    let values: Vec<f64> = (0..n).map(|i| (start + i as f64 * step).sin()).collect();
    from_f64(&values, shape).unwrap()
}

/// Gives every parameter the formula's values, by the names in the reference's order.
pub(crate) fn fill(model: &dyn Trainable, names: &[String]) {
    assert_eq!(model.parameters().named().len(), names.len());
    for (name, parameter) in model.parameters().named() {
        fill_one(parameter, name, names.iter().position(|n| n == name).unwrap());
    }
}

/// Gives a tensor the values for its name and place.
pub(crate) fn fill_one(t: &Tensor, name: &str, place: usize) {
    let _guard = tch::no_grad_guard();
    let shape = t.size();
    let w = wave(&shape, 0.7, place as f64);
    let w = match shape.len() {
        1 => w * 0.1 + if name.ends_with("weight") { 1.0 } else { 0.0 },
        _ => w * 1.4 / (t.numel() as f64 / shape[0] as f64).sqrt(),
    };
    t.shallow_clone().copy_(&w);
}

/// Sum, norm, and product with the formula's values.
pub(crate) fn three(t: &Tensor) -> [f64; 3] {
    let values = to_f64(t).unwrap();
    let wave = to_f64(&wave(&t.size(), 1.3, 0.5)).unwrap();
    let dot = values.iter().zip(wave).map(|(v, w)| v * w).sum();
    [values.iter().sum(), values.iter().map(|v| v * v).sum::<f64>().sqrt(), dot]
}

/// That all of `found` is as near to `expected` as `tolerance` of the largest of it.
#[track_caller]
pub(crate) fn assert_near(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-30, |m: f64, v| m.max(v.abs()));
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance * largest, "{what}: {f} for {e} (of {largest})");
    }
}

/// The sorted names of a case's parameters, of which the file keeps `what`.
pub(crate) fn names(golden: &StateDict, case: &str, what: &str) -> Vec<String> {
    let prefix = format!("{case}.{what}.");
    golden.keys().filter_map(|k| k.strip_prefix(&prefix)).map(str::to_owned).collect()
}

/// The names in the order in which the reference made them.
pub(crate) fn ordered(golden: &StateDict, case: &str, what: &str) -> Vec<String> {
    let order = to_f64(&golden[&format!("{case}.order")]).unwrap();
    let names = names(golden, case, what);
    order.iter().map(|&i| names[i as usize].clone()).collect()
}

/// That all gradients are those of the case, by sum, norm and product.
#[track_caller]
pub(crate) fn assert_gradients(
    golden: &StateDict,
    case: &str,
    model: &dyn Trainable,
    gradients: &[Tensor],
) {
    let of = |key: &str| to_f64(&golden[&format!("{case}.grad.{key}")]).unwrap();
    let keys = || model.parameters().named().map(|(key, _)| key);
    assert_eq!(keys().len(), gradients.len());
    let largest = keys().map(|key| of(key)[1]).fold(0.0, f64::max);
    for (key, gradient) in keys().zip(gradients) {
        // A bias right before a norm of its own has no influence: its gradient is rounding.
        let far = three(gradient).into_iter().zip(of(key)).map(|(f, e)| (f - e).abs());
        // Sum and product are with vectors as long as the root of their number of elements.
        let share = f64::max(1e-4, 3e-6 * (gradient.numel() as f64).sqrt());
        let allowed = share * of(key)[1] + 1e-6 * largest;
        let (far, found) = (far.fold(0.0, f64::max), three(gradient));
        assert!(far <= allowed, "{case} {key}: {found:?} for {:?}", of(key));
    }
}
