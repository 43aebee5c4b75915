//! The golden file, and outputs for its weights.

use std::path::Path;
use tch::{Device, Kind, Tensor};
use tweedie_core::{
    Cond, Denoiser, Model, Network, NoiseLevel, Parametrization, Prediction, Scaling,
};
use tweedie_models::ModelSpec;
use tweedie_models::Trainable;
use tweedie_models::mlp::{ConditionalMlpConfig, TimeInputMlpConfig};
use tweedie_torch::tensor::to_f64;
use tweedie_torch::weights::{KindPolicy, StateDict, load};

/// Other kernels sum in another order: single precision through five layers of up to 32 terms.
pub(crate) const CLOSE: f64 = 2e-6;

pub(crate) fn golden() -> StateDict {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mlp.safetensors");
    load(&path, KindPolicy::Keep, Device::Cpu).unwrap()
}

/// The tensors below a prefix, without it.
pub(crate) fn below(golden: &StateDict, prefix: &str) -> StateDict {
    let tensors = golden.iter().filter_map(|(name, t)| {
        Some((name.strip_prefix(prefix)?.strip_prefix('.')?.to_owned(), t.shallow_clone()))
    });
    let tensors: StateDict = tensors.collect();
    assert!(!tensors.is_empty(), "nothing below {prefix}");
    tensors
}

/// That two tensors have one shape and are close, relative to their size where that is over 1.
#[track_caller]
pub(crate) fn assert_close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.size(), expected.size(), "{what}");
    for (found, expected) in to_f64(found).unwrap().iter().zip(to_f64(expected).unwrap()) {
        let far = (found - expected).abs() / expected.abs().max(1.0);
        assert!(far <= tolerance, "{what}: {found} for {expected}");
    }
}

pub(crate) fn time(dim: i64, hidden_dims: &[i64]) -> ModelSpec {
    ModelSpec::TimeInputMlp(TimeInputMlpConfig { dim, hidden_dims: hidden_dims.to_vec() })
}

pub(crate) fn conditional(hidden_dims: &[i64], num_classes: i64) -> ModelSpec {
    let hidden_dims = hidden_dims.to_vec();
    let dropout_prob = 0.4;
    let config =
        ConditionalMlpConfig { dim: 2, hidden_dims, cond_dim: 4, num_classes, dropout_prob };
    ModelSpec::ConditionalMlp(config)
}

/// The golden networks: name, seed, settings.
pub(crate) fn networks() -> [(&'static str, u64, ModelSpec); 4] {
    [
        ("time", 1, time(2, &[16, 32, 16])),
        ("time_narrow", 2, time(3, &[8])),
        ("cond", 3, conditional(&[16, 32, 16], 10)),
        ("cond_small", 4, conditional(&[8, 8], 2)),
    ]
}

/// A network whose own initial weights do not matter, with the weights of a state dict.
pub(crate) fn with_weights(spec: &ModelSpec, weights: &StateDict) -> Box<dyn Trainable> {
    let model = spec.build(999, Kind::Float, Device::Cpu).unwrap();
    model.parameters().load(weights).unwrap();
    model
}

#[test]
fn a_state_dict_gives_the_same_outputs() {
    let golden = golden();
    for (name, _, spec) in networks() {
        let model = with_weights(&spec, &below(&golden, &format!("{name}.state")));
        let at = |key: &str| golden[&format!("{name}.{key}")].shallow_clone();
        let cond = spec.num_classes().map(|_| Cond::labels(at("cond")));
        let x = at("x");
        let one = Tensor::full([x.size()[0]], 0.7, (Kind::Float, Device::Cpu));
        for (key, noise) in [("each", at("sigma")), ("one", one)] {
            let found = model.forward(&x, &noise, cond.as_ref()).unwrap();
            assert_close(&format!("{name}.{key}"), &found, &at(key), CLOSE);
            let _guard = tch::no_grad_guard(); // another way through the GELU
            let found = model.forward(&x, &noise, cond.as_ref()).unwrap();
            assert_close(&format!("{name}.{key} without autograd"), &found, &at(key), CLOSE);
        }
    }
}

/// smalldiffusion's scale is ours minus one.
#[test]
fn guidance_is_smalldiffusions() {
    let golden = golden();
    let _guard = tch::no_grad_guard();
    for name in ["cond", "cond_small"] {
        let spec = networks().into_iter().find(|n| n.0 == name).unwrap().2;
        let network = with_weights(&spec, &below(&golden, &format!("{name}.state")));
        let x = &golden[&format!("{name}.x")];
        let cond = Cond::labels(golden[&format!("{name}.label")].shallow_clone());
        let null = network.null_cond(x.size()[0]).unwrap();
        let model = Model::new(network, Parametrization::default()).unwrap();
        for theirs in ["0.0", "0.5", "2.0"] {
            let scale = theirs.parse::<f64>().unwrap() + 1.0;
            let x0 = model.guided(&cond, &null, scale).denoise(x, NoiseLevel::ve(0.7)).unwrap();
            let eps = (x - x0) / 0.7;
            // The division by sigma and the scale enlarge the rounding by up to five.
            assert_close(
                &format!("{name} {scale}"),
                &eps,
                &golden[&format!("{name}.cfg.{theirs}")],
                5.0 * CLOSE,
            );
        }
    }
}

/// The golden losses: name, and the parametrisation that it is with us.
pub(crate) fn variants() -> [(&'static str, Parametrization); 6] {
    let of = |prediction, scaling| Parametrization { prediction, scaling, ..Default::default() };
    [
        ("eps", of(Prediction::Eps, Scaling::None)),
        ("x0", of(Prediction::X0, Scaling::None)),
        ("v", of(Prediction::V, Scaling::None)),
        ("scaled", of(Prediction::Eps, Scaling::Scaled)),
        ("scaled_v", of(Prediction::V, Scaling::Scaled)),
        ("flow", Parametrization::flow()),
    ]
}

#[test]
fn predictions_of_the_noise_are_smalldiffusions() {
    let golden = golden();
    let _guard = tch::no_grad_guard();
    let x = &golden["loss.x0"] + &golden["loss.noise"];
    for (name, parametrization) in variants() {
        let network = with_weights(&time(2, &[16, 32, 16]), &below(&golden, "time.state"));
        let model = Model::new(network, parametrization).unwrap();
        // A flow's "noise" is its velocity: x0 = x − t·u.
        let level = if name == "flow" { NoiseLevel::flow(0.7) } else { NoiseLevel::ve(0.7) };
        let eps = (&x - model.denoise(&x, level).unwrap()) / 0.7;
        // Dividing by sigma enlarges the rounding.
        assert_close(name, &eps, &golden[&format!("loss.{name}.eps")], 2.0 * CLOSE);
    }
}
