//! Networks that smalldiffusion has not, against a composition written out in PyTorch.

use crate::formula::{assert_gradients, assert_near, fill, ordered, path, wave};
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};
use tweedie_core::{Cond, Network};
use tweedie_models::ModelSpec;
use tweedie_models::dit::from_facebook;
use tweedie_torch::rng::Generator;
use tweedie_torch::tensor::{from_f64, to_f64, to_i64};
use tweedie_torch::weights::{KindPolicy, StateDict, header, load};

/// The numbers, and the settings that the file's metadata hold.
fn golden() -> (StateDict, BTreeMap<String, ModelSpec>) {
    let path = path("settings.safetensors");
    let specs = &header(&path).unwrap().metadata["specs"];
    let specs = serde_json::from_str(specs).unwrap();
    (load(&path, KindPolicy::Keep, Device::Cpu).unwrap(), specs)
}

fn f32(t: &Tensor) -> Tensor {
    t.to_kind(Kind::Float)
}

/// Data, levels and conditions as in `make_settings.py`.
fn inputs(spec: &ModelSpec) -> (Tensor, Tensor, Option<Cond>) {
    let mut shape = vec![3];
    shape.extend(spec.sample_shape());
    let x = match shape.len() {
        2 => (Tensor::arange(shape[0] * shape[1], (Kind::Int64, Device::Cpu)) * 7)
            .remainder(11)
            .reshape(&shape),
        _ => f32(&wave(&shape, 0.9, 0.1)),
    };
    let sigma = f32(&from_f64(&[0.05, 0.6, 0.98], &[3]).unwrap());
    let mut cond = spec.num_classes().map_or_else(Cond::default, |_| Cond::class(&[0, 2, 3]));
    if let ModelSpec::Dit(config) = spec {
        cond.context = config.context.map(|c| f32(&wave(&[3, 4, c.dim], 0.3, 0.7)));
    }
    (x, sigma, (cond.class.is_some() || cond.context.is_some()).then_some(cond))
}

/// Outputs to 1e-5 of the largest, gradients by three numbers each; with checkpoints too.
#[test]
fn outputs_losses_and_gradients_are_those_of_the_composition() {
    let (golden, specs) = golden();
    for (name, spec) in specs.iter().filter(|(name, _)| *name != "facebook") {
        let mut model = spec.build(99, Kind::Float, Device::Cpu).unwrap();
        fill(model.as_ref(), &ordered(&golden, name, "grad"));
        let (x, sigma, cond) = inputs(spec);
        let expected = |key: &str| to_f64(&golden[&format!("{name}.{key}")]).unwrap();
        let output = model.forward(&x, &sigma, cond.as_ref()).unwrap();
        assert_eq!(output.size(), golden[&format!("{name}.output")].size());
        assert_near(name, &to_f64(&output).unwrap(), &expected("output"), 1e-5);
        let target = f32(&wave(&output.size(), 1.7, 0.4));
        let mut loss = |output: &Tensor| {
            let far = output - &target;
            Ok((far.square().mean(Kind::Float), far * (2.0 / output.numel() as f64)))
        };
        for checkpoints in [false, true] {
            model.checkpoint_activations(checkpoints);
            let mut rng = Generator::new(0).unwrap();
            let found = model.gradients(&x, &sigma, cond.as_ref(), &mut rng, &mut loss).unwrap();
            assert_near(name, &to_f64(&found.loss).unwrap(), &expected("loss"), 1e-6);
            assert_gradients(&golden, name, model.as_ref(), &found.gradients);
        }
    }
}

/// A state dict with the names of `facebookresearch/DiT`, variances and fixed positions included.
#[test]
fn facebooks_names_are_mapped() {
    let (golden, specs) = golden();
    let shapes = "facebook.shape.";
    let zeros = golden.iter().filter_map(|(name, shape)| {
        let shape = to_i64(shape).ok().filter(|_| name.starts_with(shapes))?;
        Some((name[shapes.len()..].to_owned(), Tensor::zeros(shape, (Kind::Float, Device::Cpu))))
    });
    let mut theirs: StateDict = zeros.collect();
    let positions = theirs.remove("pos_embed").unwrap();
    let order = to_i64(&golden["facebook.order"]).unwrap();
    let names: Vec<String> = theirs.keys().cloned().collect();
    for (place, &i) in order.iter().enumerate() {
        crate::formula::fill_one(&theirs[&names[i as usize]], &names[i as usize], place);
    }
    theirs.insert("pos_embed".into(), positions);
    let model = specs["facebook"].build(0, Kind::Float, Device::Cpu).unwrap();
    model.parameters().load(&from_facebook(&theirs)).unwrap();
    let (x, sigma, cond) = inputs(&specs["facebook"]);
    let found = model.forward(&x, &(sigma * 1000.0), cond.as_ref()).unwrap();
    let expected = to_f64(&golden["facebook.output"]).unwrap();
    assert_near("facebook", &to_f64(&found).unwrap(), &expected, 1e-5);
    theirs.insert("what.is.this".into(), Tensor::zeros([1], (Kind::Float, Device::Cpu)));
    let message = model.parameters().load(&from_facebook(&theirs)).unwrap_err().to_string();
    assert!(message.contains("1 unexpected (what.is.this)"), "{message}");
}
