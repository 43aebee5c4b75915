//! Initial weights: PyTorch's, number for number.

use crate::golden::{assert_close, below, golden, networks};
use tch::{Device, Kind};
use tweedie_core::Network;
use tweedie_models::ModelSpec;
use tweedie_models::mlp::TimeInputMlpConfig;
use tweedie_torch::tensor::to_f32;

/// One unit in the last place of a number of size 1: uniform numbers are scaled in another order,
/// and normal ones go through a vectorised logarithm and cosine where PyTorch has them.
const LAST_PLACE: f64 = 1.2e-7;

#[test]
fn a_seed_gives_pytorchs_weights() {
    let golden = golden();
    for (name, seed, spec) in networks() {
        let model = spec.build(seed, Kind::Float, Device::Cpu).unwrap();
        let state = below(&golden, &format!("{name}.state"));
        assert_eq!(model.parameters().named().len(), state.len());
        for (key, t) in model.parameters().named() {
            assert_close(&format!("{name}.{key}"), t, &state[key], LAST_PLACE);
        }
    }
}

#[test]
fn the_default_network_is_smalldiffusions() {
    let golden = golden();
    let spec = ModelSpec::TimeInputMlp(TimeInputMlpConfig::default());
    let model = spec.build(7, Kind::Float, Device::Cpu).unwrap();
    let named: Vec<_> = model.parameters().named().collect();
    assert_close("first", &named[0].1.select(0, 0), &golden["wide.first"], LAST_PLACE);
    assert_close("last", named[named.len() - 1].1, &golden["wide.last"], LAST_PLACE);
    let found = model.forward(&golden["loss.x0"], &golden["loss.sigma"], None).unwrap();
    assert_close("output", &found, &golden["wide.each"], 5e-6); // sums of 256 terms
}

#[test]
fn seeds_differ_and_repeat() {
    let spec = ModelSpec::TimeInputMlp(TimeInputMlpConfig::default());
    let first = |seed| {
        let model = spec.build(seed, Kind::Float, Device::Cpu).unwrap();
        to_f32(model.parameters().tensors().next().unwrap()).unwrap()
    };
    assert_eq!(first(3), first(3));
    assert_ne!(first(3), first(4));
}
