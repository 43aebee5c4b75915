//! Conditions that a network takes, drops, or refuses.

use crate::golden::{
    CLOSE, assert_close, below, conditional, golden, networks, time, with_weights,
};
use tch::{Device, Kind, Tensor};
use tweedie_core::{Cond, Network};
use tweedie_torch::rng::Generator;

/// `torch.rand(batch) < 0.4` of a seed drops the same labels here.
#[test]
fn labels_drop_as_in_smalldiffusion() {
    let golden = golden();
    for (name, seed, spec) in networks().into_iter().filter(|n| n.0.starts_with("cond")) {
        let model = with_weights(&spec, &below(&golden, &format!("{name}.state")));
        let at = |key: &str| golden[&format!("{name}.{key}")].shallow_clone();
        let cond = Cond::labels(at("cond"));
        let mut rng = Generator::new(seed + 200).unwrap();
        let found = model.forward_train(&at("x"), &at("sigma"), Some(&cond), &mut rng).unwrap();
        assert_close(name, &found, &at("dropped"), CLOSE);
    }
}

#[test]
fn no_condition_is_the_null_class() {
    let golden = golden();
    let (x, noise) = (&golden["cond.x"], &golden["cond.sigma"]);
    let model = conditional(&[8], 3).build(0, Kind::Float, Device::Cpu).unwrap();
    let null = model.null_cond(6).unwrap();
    let none = model.forward(x, noise, None).unwrap();
    assert_close("null", &model.forward(x, noise, Some(&null)).unwrap(), &none, 0.0);
    let class = model.forward(x, noise, Some(&Cond::class(&[0, 1, 2, 0, 1, 2]))).unwrap();
    assert!(f64::try_from((class - none).abs().max()).unwrap() > 1e-3);
}

#[test]
fn what_does_not_fit_is_refused() {
    let x = Tensor::zeros([2, 2], (Kind::Float, Device::Cpu));
    let noise = Tensor::ones([2], (Kind::Float, Device::Cpu));
    let with_class = conditional(&[8], 10).build(0, Kind::Float, Device::Cpu).unwrap();
    let plain = time(2, &[8]).build(0, Kind::Float, Device::Cpu).unwrap();
    let floats = Cond::labels(Tensor::zeros([2], (Kind::Float, Device::Cpu)));
    let context = Cond {
        context: Some(Tensor::zeros([2, 1, 1], (Kind::Float, Device::Cpu))),
        ..Default::default()
    };
    let cases = [
        (
            with_class.forward(&x, &noise, Some(&Cond::class(&[3, 99]))),
            "class is 99, expected 0 to 9 (the model has 10 classes",
        ),
        (with_class.forward(&x, &noise, Some(&Cond::class(&[3, -1]))), "class is -1"),
        (
            with_class.forward(&x, &noise, Some(&Cond::class(&[3]))),
            "class labels has shape [1], expected [2]",
        ),
        (with_class.forward(&x, &noise, Some(&floats)), "Float"),
        (with_class.forward(&x, &noise, Some(&context)), "classes and nothing else"),
        (plain.forward(&x, &noise, Some(&Cond::class(&[0, 1]))), "without one"),
        (plain.forward(&noise, &noise, None), "x has shape [2], expected [batch, 2]"),
        (plain.forward(&x.zeros_like().reshape([1, 4]), &noise, None), "expected [batch, 2]"),
        (plain.forward(&x, &x, None), "noise has shape"),
    ];
    for (found, expected) in cases {
        let found = found.unwrap_err().to_string();
        assert!(found.contains(expected), "{found}");
    }
    let empty = plain.forward(&x.narrow(0, 0, 0), &noise.narrow(0, 0, 0), None).unwrap();
    assert_eq!(empty.size(), [0, 2]);
}
