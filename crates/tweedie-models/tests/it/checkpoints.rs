//! Training that keeps little: the same loss and gradients.

use crate::formula::{fill, wave};
use tch::{Device, Kind, Tensor};
use tweedie_core::{Cond, Network};
use tweedie_models::dit::{Context, ContextAttention, DitConfig, Positions};
use tweedie_models::transformer::Perceptron;
use tweedie_models::transformer_1d::Transformer1dConfig;
use tweedie_models::unet::{Resample, UnetConfig};
use tweedie_models::{Gradients, ModelSpec, Trainable};
use tweedie_torch::rng::Generator;
use tweedie_torch::tensor::{from_f64, to_f64};

/// Networks with all that is random in training: labels drop, and numbers within blocks.
fn specs() -> [ModelSpec; 4] {
    let unet = UnetConfig {
        image_size: 8,
        channels: 2,
        ch: 8,
        ch_mult: vec![1, 2],
        num_res_blocks: 2,
        attn_resolutions: vec![4],
        dropout: 0.3,
        norm_groups: 4,
        num_classes: 3,
        dropout_prob: 0.5,
        ..Default::default()
    };
    let resblock = UnetConfig {
        resample: Resample::Resblock,
        scale_shift_norm: true,
        skip_scale: 0.7,
        ..unet.clone()
    };
    let dit = DitConfig {
        image_size: 6,
        channels: 2,
        depth: 3,
        head_dim: 8,
        num_heads: 2,
        mlp: Perceptron::SwiGlu,
        positions: Positions::Rope,
        qk_norm: true,
        num_classes: 3,
        dropout_prob: 0.5,
        context: Some(Context { dim: 5, attention: ContextAttention::Joint }),
        ..Default::default()
    };
    let sequence = Transformer1dConfig {
        length: 5,
        depth: 3,
        head_dim: 8,
        num_heads: 2,
        num_classes: 3,
        dropout_prob: 0.5,
        causal: true,
        ..Default::default()
    };
    [
        ModelSpec::Unet(unet),
        ModelSpec::Unet(resblock),
        ModelSpec::Dit(dit),
        ModelSpec::Transformer1d(sequence),
    ]
}

/// In double precision, from weights that are not 0 anywhere.
fn built(spec: &ModelSpec) -> Box<dyn Trainable> {
    let model = spec.build(0, Kind::Double, Device::Cpu).unwrap();
    let names: Vec<String> = model.parameters().named().map(|(n, _)| n.to_owned()).collect();
    fill(model.as_ref(), &names);
    model
}

fn gradients(model: &dyn Trainable, seed: u64) -> Gradients {
    let mut shape = vec![4];
    shape.extend(model.spec().sample_shape());
    let (x, target) = (wave(&shape, 0.9, 0.1), wave(&shape, 1.7, 0.4));
    let noise = from_f64(&[0.05, 0.6, 0.98, 2.0], &[4]).unwrap();
    let mut cond = Cond::class(&[0, 1, 2, 2]);
    if let ModelSpec::Dit(_) = model.spec() {
        cond.context = Some(wave(&[4, 3, 5], 0.3, 0.7));
    }
    let mut loss = |y: &Tensor| {
        let far = y - &target;
        Ok((far.square().mean(Kind::Double), far * (2.0 / y.numel() as f64)))
    };
    let mut rng = Generator::new(seed).unwrap();
    model.gradients(&x, &noise, Some(&cond), &mut rng, &mut loss).unwrap()
}

/// The loss to the bit; gradients to rounding, since what many blocks have a share in, the
/// embedding, is added up in another order.
#[test]
fn checkpoints_change_no_gradient() {
    for spec in specs() {
        let mut model = built(&spec);
        let (plain, other) = (gradients(model.as_ref(), 5), gradients(model.as_ref(), 6));
        model.checkpoint_activations(true);
        let found = gradients(model.as_ref(), 5);
        let loss = |g: &Gradients| to_f64(&g.loss).unwrap()[0];
        assert_eq!(loss(&found), loss(&plain), "{}", spec.name());
        assert_ne!(loss(&found), loss(&other), "{}: nothing drops", spec.name());
        for ((name, _), (found, plain)) in
            model.parameters().named().zip(found.gradients.iter().zip(&plain.gradients))
        {
            let (found, plain) = (to_f64(found).unwrap(), to_f64(plain).unwrap());
            let largest = plain.iter().fold(1e-3, |m: f64, v| m.max(v.abs()));
            for (f, p) in found.iter().zip(&plain) {
                assert!((f - p).abs() < 1e-12 * largest, "{} {name}: {f} for {p}", spec.name());
            }
        }
    }
}

/// What they do to a network in lower precision stays a gradient in the parameters' own.
#[test]
fn checkpoints_go_with_a_compute_kind() {
    for spec in specs() {
        let mut model = spec.build(0, Kind::Float, Device::Cpu).unwrap();
        let names: Vec<String> = model.parameters().named().map(|(n, _)| n.to_owned()).collect();
        fill(model.as_ref(), &names);
        model.compute_in(Kind::BFloat16);
        let plain = gradients(model.as_ref(), 5);
        model.checkpoint_activations(true);
        let found = gradients(model.as_ref(), 5);
        assert_eq!(to_f64(&found.loss).unwrap(), to_f64(&plain.loss).unwrap());
        assert!(found.gradients.iter().all(|g| g.kind() == Kind::Float));
    }
}

/// Small networks hear of it and go on as before.
#[test]
fn small_networks_do_not_listen() {
    let spec = ModelSpec::TimeInputMlp(Default::default());
    let mut model = spec.build(0, Kind::Float, Device::Cpu).unwrap();
    model.checkpoint_activations(true);
    let x = Tensor::ones([1, 2], (Kind::Float, Device::Cpu));
    assert_eq!(model.forward(&x, &x.select(1, 0), None).unwrap().size(), [1, 2]);
}
