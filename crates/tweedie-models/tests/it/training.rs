//! Losses, gradients, and steps.

use crate::golden::{assert_close, below, conditional, golden, time, variants, with_weights};
use tch::{Device, Kind, Tensor};
use tweedie_core::{Cond, NoiseLevel, Parametrization, Result, Scale};
use tweedie_models::{Gradients, Trainable};
use tweedie_torch::autograd::vjp;
use tweedie_torch::optim::{AdamW, AdamWConfig};
use tweedie_torch::rng::Generator;
use tweedie_torch::tensor::{from_f64, to_f64};
use tweedie_torch::weights::StateDict;

/// Sums over the batch of products of numbers that are right to single precision.
const CLOSE: f64 = 5e-6;

/// The mean squared error and its gradient with respect to the output.
fn mean_squared_error(output: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
    let far = output - target;
    let loss = far.square().mean(Kind::Float);
    Ok((loss, far * (2.0 / output.numel() as f64)))
}

/// A column for each coefficient of a batch of levels: input, noise input, target.
fn batch(golden: &StateDict, name: &str, p: &Parametrization) -> (Tensor, Tensor, Tensor) {
    let levels = to_f64(&golden[if name == "flow" { "loss.t" } else { "loss.sigma" }]).unwrap();
    let level =
        |&s: &f64| if p.scale == Scale::Flow { NoiseLevel::flow(s) } else { NoiseLevel::ve(s) };
    let levels: Vec<NoiseLevel> = levels.iter().map(level).collect();
    let coefficients: Vec<_> = levels.iter().map(|&l| p.coefficients(l).unwrap()).collect();
    let column = |values: Vec<f64>| {
        let n = values.len() as i64;
        from_f64(&values, &[n, 1]).unwrap().to_kind(Kind::Float)
    };
    let alpha = column(levels.iter().map(|l| l.alpha).collect());
    let sigma = column(levels.iter().map(|l| l.sigma).collect());
    let of =
        |f: fn(&tweedie_core::Coefficients) -> f64| column(coefficients.iter().map(f).collect());
    let (x0, eps) = (&golden["loss.x0"], &golden["loss.noise"]);
    let x = (alpha * x0 + sigma * eps) * of(|c| c.c_in);
    let target = of(|c| c.target_x0) * x0 + of(|c| c.target_eps) * eps;
    (x, of(|c| c.c_noise).squeeze_dim(1), target)
}

fn gradients(model: &dyn Trainable, x: &Tensor, noise: &Tensor, target: &Tensor) -> Gradients {
    let mut rng = Generator::new(0).unwrap();
    model
        .gradients(x, noise, None, &mut rng, &mut |output| mean_squared_error(output, target))
        .unwrap()
}

#[test]
fn losses_and_gradients_are_smalldiffusions() {
    let golden = golden();
    for (name, parametrization) in variants() {
        let model = with_weights(&time(2, &[16, 32, 16]), &below(&golden, "time.state"));
        let (x, noise, target) = batch(&golden, name, &parametrization);
        let found = gradients(model.as_ref(), &x, &noise, &target);
        assert_close(name, &found.loss.reshape([1]), &golden[&format!("loss.{name}.loss")], CLOSE);
        let expected = below(&golden, &format!("loss.{name}.grad"));
        assert_eq!(found.gradients.len(), expected.len());
        for ((key, _), gradient) in model.parameters().named().zip(&found.gradients) {
            assert_close(&format!("{name} {key}"), gradient, &expected[key], CLOSE);
        }
    }
}

/// AdamW divides a gradient by its own size, so where a gradient is nearly nothing its rounding
/// counts in full: a hundredth of a step of 1e-3.
#[test]
fn three_steps_are_pytorchs() {
    let golden = golden();
    let model = with_weights(&time(2, &[16, 32, 16]), &below(&golden, "time.state"));
    let (x, noise, target) = batch(&golden, "eps", &Parametrization::default());
    let parameters: Vec<&Tensor> = model.parameters().tensors().collect();
    let mut adamw = AdamW::new(parameters.iter().copied(), AdamWConfig::default()).unwrap();
    for step in 1..=3 {
        let Gradients { gradients, .. } = gradients(model.as_ref(), &x, &noise, &target);
        let gradients: Vec<&Tensor> = gradients.iter().collect();
        adamw.step(&parameters, &gradients, 1e-3).unwrap();
        if step != 2 {
            let expected = below(&golden, &format!("adamw.{step}"));
            for (key, t) in model.parameters().named() {
                assert_close(&format!("step {step} {key}"), t, &expected[key], 1e-5);
            }
        }
    }
}

/// The short way through the stack against autograd, with labels that drop.
#[test]
fn gradients_are_autograds() {
    let golden = golden();
    let (x, noise) = (golden["cond.x"].to_kind(Kind::Double), &golden["cond.sigma"]);
    let cond = Cond::labels(golden["cond.label"].shallow_clone());
    let target = x.cos();
    for (spec, cond) in [(time(2, &[16, 8]), None), (conditional(&[16, 8], 10), Some(&cond))] {
        let model = spec.build(0, Kind::Double, Device::Cpu).unwrap();
        let rng = || Generator::new(5).unwrap();
        let output = model.forward_train(&x, noise, cond, &mut rng()).unwrap();
        let (loss, cotangent) = mean_squared_error(&output.detach(), &target).unwrap();
        let parameters: Vec<&Tensor> = model.parameters().tensors().collect();
        let expected = vjp(&output, &cotangent, &parameters).unwrap();
        let mut error = |output: &Tensor| mean_squared_error(output, &target);
        let found = model.gradients(&x, noise, cond, &mut rng(), &mut error).unwrap();
        // Double precision throughout, but for the loss, which is a mean in single.
        assert_close("loss", &found.loss, &loss, 1e-6);
        for (i, (found, expected)) in found.gradients.iter().zip(&expected).enumerate() {
            assert_close(&format!("{} {i}", spec.name()), found, expected, 1e-12);
        }
        assert_eq!(found.gradients.len(), expected.len());
    }
}

#[test]
fn a_loss_of_another_shape_is_refused() {
    let model = time(2, &[8]).build(0, Kind::Float, Device::Cpu).unwrap();
    let x = Tensor::ones([3, 2], (Kind::Float, Device::Cpu));
    let mut rng = Generator::new(0).unwrap();
    let mut wrong =
        |output: &Tensor| Ok((output.mean(Kind::Float), output.mean_dim(1, false, Kind::Float)));
    let found = model.gradients(&x, &x.select(1, 0), None, &mut rng, &mut wrong).unwrap_err();
    assert!(found.to_string().contains("has shape [3], expected [3, 2]"), "{found}");
}
