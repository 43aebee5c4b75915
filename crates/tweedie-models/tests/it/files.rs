//! Weights files.

use crate::golden::{assert_close, below, conditional, golden, networks, time};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Kind, Tensor};
use tweedie_core::{Network, Parametrization};
use tweedie_models::dit::DitConfig;
use tweedie_models::files::{load, load_weights, save};
use tweedie_models::unet::UnetConfig;
use tweedie_models::{Description, Error, ModelSpec, Trainable};
use tweedie_torch::weights;

fn same(a: &dyn Trainable, b: &dyn Trainable, tolerance: f64) {
    assert_eq!(a.parameters().named().len(), b.parameters().named().len());
    for ((name, a), (other, b)) in a.parameters().named().zip(b.parameters().named()) {
        assert_eq!(name, other);
        assert_close(name, a, b, tolerance);
    }
}

#[test]
fn a_file_describes_itself() {
    let folder = tempfile::tempdir().unwrap();
    // Half of the last place: f16 has 11 bits, bf16 8.
    let kinds =
        [(None, 0.0), (Some(Kind::Half), 2f64.powi(-11)), (Some(Kind::BFloat16), 2f64.powi(-8))];
    for (i, (kind, tolerance)) in kinds.into_iter().enumerate() {
        let path = folder.path().join(format!("{i}.safetensors"));
        let model = conditional(&[16, 8], 5).build(1, Kind::Float, Device::Cpu).unwrap();
        save(&path, model.as_ref(), &Parametrization::flow(), kind).unwrap();
        let described = Description::of(&path).unwrap();
        assert_eq!(described.spec, conditional(&[16, 8], 5));
        let again = load(&path, Kind::Float, Device::Cpu).unwrap();
        assert_eq!(again.parametrization, Parametrization::flow());
        same(again.network.as_ref(), model.as_ref(), tolerance);
    }
}

/// The golden state dicts are files that smalldiffusion could have saved.
#[test]
fn smalldiffusions_state_dicts_load() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs.safetensors");
    for (name, seed, spec) in networks() {
        let state = below(&golden(), &format!("{name}.state"));
        weights::save(&path, state.iter().map(|(n, t)| (n.as_str(), t)), &BTreeMap::new(), None)
            .unwrap();
        let model = spec.build(seed + 1, Kind::Float, Device::Cpu).unwrap();
        load_weights(&path, model.as_ref()).unwrap();
        for (name, t) in model.parameters().named() {
            assert_close(name, t, &state[name], 0.0);
        }
        assert!(matches!(Description::of(&path), Err(Error::Undescribed { .. })));
    }
}

#[test]
fn weights_of_another_model_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let build = |spec: &tweedie_models::ModelSpec, seed| {
        spec.build(seed, Kind::Float, Device::Cpu).unwrap()
    };
    let model = build(&time(2, &[16, 8]), 0);
    save(&path, model.as_ref(), &Parametrization::default(), None).unwrap();
    let cases = [
        (time(2, &[16]), "unexpected (net.4.bias, net.4.weight)"),
        (time(2, &[16, 9]), "net.2.weight is [8, 16], expected [9, 16]"),
        (conditional(&[16, 8], 3), "missing (cond_embed.embeddings.weight"),
    ];
    for (spec, expected) in cases {
        let (other, untouched) = (build(&spec, 3), build(&spec, 3));
        let message = load_weights(&path, other.as_ref()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        same(other.as_ref(), untouched.as_ref(), 0.0);
    }
}

/// Hundreds of tensors differ: the message counts them and names three of a kind.
#[test]
fn weights_of_another_architecture_are_told_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("unet.safetensors");
    let unet = UnetConfig { image_size: 8, ch: 8, norm_groups: 4, ..Default::default() };
    let unet = ModelSpec::Unet(unet).build(0, Kind::Float, Device::Cpu).unwrap();
    let dit = DitConfig { image_size: 8, head_dim: 4, ..Default::default() };
    let dit = ModelSpec::Dit(dit).build(0, Kind::Float, Device::Cpu).unwrap();
    save(&path, unet.as_ref(), &Parametrization::default(), None).unwrap();
    let message = load_weights(&path, dit.as_ref()).unwrap_err().to_string();
    // All but the level's four, which have another shape.
    let missing = dit.parameters().named().len() - 4;
    let unexpected = unet.parameters().named().len() - 4;
    assert!(missing > 100 && unexpected > 200, "{missing}, {unexpected}");
    for expected in [
        "the weights are for another model".to_owned(),
        format!("{missing} missing ("),
        format!("{unexpected} unexpected ("),
        "4 of another shape (sig_embed.mlp.0.weight is [32, 2], expected [24, 2]".to_owned(),
    ] {
        assert!(message.contains(&expected), "{message}");
    }
    assert!(message.len() < 500 && !message.contains('\n'), "{message}");
}

#[test]
fn bad_descriptions_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let parametrization = serde_json::to_string(&Parametrization::default()).unwrap();
    let cases = [
        (r#"{"type": "perceptron"}"#, "unknown variant `perceptron`"),
        (r#"{"type": "unet", "ch": 33}"#, "model.norm_groups is 32"),
        (r#"{"type": "time-input-mlp", "dim": -2}"#, "model.dim is -2"),
        (
            r#"{"type": "time-input-mlp", "hidden_dims": [99999999999]}"#,
            "model.hidden_dims is 99999999999",
        ),
        ("{", "model: EOF"),
    ];
    let t = Tensor::zeros([1], (Kind::Float, Device::Cpu));
    for (model, expected) in cases {
        let notes = BTreeMap::from([
            ("model".to_owned(), model.to_owned()),
            ("parametrization".to_owned(), parametrization.clone()),
        ]);
        weights::save(&path, [("t", &t)], &notes, None).unwrap();
        let message = load(&path, Kind::Float, Device::Cpu).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let missing = load(Path::new("no/such.safetensors"), Kind::Float, Device::Cpu).unwrap_err();
    assert!(missing.to_string().contains("no/such.safetensors"), "{missing}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever is built, saved and loaded answers the same.
    #[test]
    fn saved_and_loaded_is_the_same(
        dim in 1..4i64, hidden in prop::collection::vec(1..20i64, 1..4), seed in any::<u64>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let model = time(dim, &hidden).build(seed, Kind::Float, Device::Cpu).unwrap();
        save(&path, model.as_ref(), &Parametrization::default(), None).unwrap();
        let again = load(&path, Kind::Float, Device::Cpu).unwrap().network;
        let x = Tensor::ones([3, dim], (Kind::Float, Device::Cpu));
        let noise = Tensor::ones([3], (Kind::Float, Device::Cpu));
        let (a, b) = (model.forward(&x, &noise, None), again.forward(&x, &noise, None));
        assert_close("answers", &a.unwrap(), &b.unwrap(), 0.0);
    }
}
