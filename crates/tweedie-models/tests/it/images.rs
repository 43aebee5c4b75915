//! U-Net and DiT against smalldiffusion's own.

use std::path::Path;
use tch::{Device, Kind, Tensor};
use tweedie_core::{Cond, Network};
use tweedie_models::dit::DitConfig;
use tweedie_models::embed::NoiseEmbedding;
use tweedie_models::unet::UnetConfig;
use tweedie_models::{ModelSpec, Trainable};
use tweedie_torch::rng::Generator;
use tweedie_torch::tensor::{from_f64, to_f64};
use tweedie_torch::weights::{KindPolicy, StateDict, load};

fn golden() -> StateDict {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/images.safetensors");
    load(&path, KindPolicy::Keep, Device::Cpu).unwrap()
}

fn unet(config: UnetConfig) -> ModelSpec {
    ModelSpec::Unet(UnetConfig {
        image_size: 8,
        channels: 2,
        ch: 32,
        dropout: 0.0,
        dropout_prob: 0.0,
        ..config
    })
}

fn dit(config: DitConfig) -> ModelSpec {
    ModelSpec::Dit(DitConfig { dropout_prob: 0.0, ..config })
}

/// As in `make_images.py`; the seed is the place in the list.
fn cases() -> Vec<(&'static str, ModelSpec)> {
    let unet_scaled = UnetConfig {
        image_size: 4,
        channels: 1,
        ch: 32,
        ch_mult: vec![1],
        num_res_blocks: 1,
        attn_resolutions: vec![],
        dropout: 0.0,
        ..Default::default()
    };
    vec![
        (
            "unet",
            unet(UnetConfig {
                ch_mult: vec![1, 2],
                attn_resolutions: vec![4],
                num_res_blocks: 1,
                ..Default::default()
            }),
        ),
        (
            "unet_classes",
            unet(UnetConfig {
                ch_mult: vec![1, 1, 2],
                num_res_blocks: 2,
                embed_ch_mult: 2,
                attn_resolutions: vec![8, 2],
                num_classes: 3,
                ..Default::default()
            }),
        ),
        ("unet_scaled", ModelSpec::Unet(unet_scaled)),
        (
            "dit",
            dit(DitConfig {
                image_size: 8,
                channels: 2,
                depth: 2,
                head_dim: 8,
                num_heads: 3,
                ..Default::default()
            }),
        ),
        (
            "dit_classes",
            dit(DitConfig {
                image_size: 6,
                channels: 1,
                patch_size: 3,
                depth: 1,
                head_dim: 4,
                num_heads: 2,
                mlp_ratio: 2.5,
                num_classes: 3,
                ..Default::default()
            }),
        ),
        (
            "dit_flow",
            dit(DitConfig {
                image_size: 4,
                patch_size: 1,
                depth: 2,
                head_dim: 8,
                num_heads: 2,
                noise_embedding: NoiseEmbedding::FlowTime,
                ..Default::default()
            }),
        ),
    ]
}

/// `sin(start + i·step)`, `i` counting the elements row by row.
fn wave(shape: &[i64], step: f64, start: f64) -> Tensor {
    let n = shape.iter().product::<i64>();
    let values: Vec<f64> = (0..n).map(|i| (start + i as f64 * step).sin()).collect();
    from_f64(&values, shape).unwrap()
}

/// Gives every parameter the formula's values, by the names that smalldiffusion gave.
fn fill(model: &dyn Trainable, names: &[String]) {
    let _guard = tch::no_grad_guard();
    for (name, parameter) in model.parameters().named() {
        let place = names.iter().position(|n| n == name).unwrap();
        let shape = parameter.size();
        let mut w = wave(&shape, 0.7, place as f64);
        w = match shape.len() {
            1 => w * 0.1 + if name.ends_with("weight") { 1.0 } else { 0.0 },
            _ => w * 1.4 / (parameter.numel() as f64 / shape[0] as f64).sqrt(),
        };
        parameter.shallow_clone().copy_(&w);
    }
}

/// Sum, norm, and product with the formula's values.
fn three(t: &Tensor) -> [f64; 3] {
    let values = to_f64(t).unwrap();
    let wave = to_f64(&wave(&t.size(), 1.3, 0.5)).unwrap();
    let dot = values.iter().zip(wave).map(|(v, w)| v * w).sum();
    [values.iter().sum(), values.iter().map(|v| v * v).sum::<f64>().sqrt(), dot]
}

/// That all of `found` is as near to `expected` as `tolerance` of the largest of it.
#[track_caller]
fn assert_near(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-30, |m: f64, v| m.max(v.abs()));
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance * largest, "{what}: {f} for {e} (of {largest})");
    }
}

/// smalldiffusion's names of a case, in the order of its `named_parameters`; the file sorts them,
/// so the order is ours, which must hold the same names.
fn names(golden: &StateDict, case: &str) -> Vec<String> {
    let prefix = format!("{case}.start.");
    golden.keys().filter_map(|k| k.strip_prefix(&prefix)).map(str::to_owned).collect()
}

/// x0, eps, levels, and a condition where there are classes.
fn inputs(spec: &ModelSpec) -> (Tensor, Tensor, Tensor, Option<Cond>) {
    let mut shape = vec![3];
    shape.extend(spec.sample_shape());
    let f32 = |t: Tensor| t.to_kind(Kind::Float);
    let sigma = f32(from_f64(&[0.05, 0.6, 0.98], &[3]).unwrap());
    let cond = spec.num_classes().map(|n| Cond::class(&[0, 2, n]));
    (f32(wave(&shape, 0.9, 0.1)), f32(wave(&shape, 1.7, 0.4)), sigma, cond)
}

#[test]
fn fresh_networks_begin_as_smalldiffusions() {
    let golden = golden();
    for (seed, (name, spec)) in cases().into_iter().enumerate() {
        let model = spec.build(seed as u64, Kind::Float, Device::Cpu).unwrap();
        assert_eq!(model.parameters().named().len(), names(&golden, name).len(), "{name}");
        for (key, parameter) in model.parameters().named() {
            let expected = to_f64(&golden[&format!("{name}.start.{key}")]).unwrap();
            // The same numbers, added up in another order.
            assert_near(&format!("{name} {key}"), &three(parameter), &expected, 1e-5);
        }
    }
}

/// The state dicts' names and shapes are smalldiffusion's, or filling would fail; outputs agree to
/// 1e-5 of the largest.
#[test]
fn outputs_losses_and_gradients_are_smalldiffusions() {
    let golden = golden();
    for (name, spec) in cases() {
        let model = spec.build(99, Kind::Float, Device::Cpu).unwrap();
        fill(model.as_ref(), &ordered(&golden, name, model.as_ref()));
        let (x0, eps, sigma, cond) = inputs(&spec);
        let column = sigma.reshape([3, 1, 1, 1]);
        let expected = |key: &str| to_f64(&golden[&format!("{name}.{key}")]).unwrap();
        let scaled = match name {
            "unet_scaled" => (column.square() + 1.0).rsqrt(),
            _ => Tensor::ones_like(&column),
        };
        let input = (&x0 + &column * &eps) * &scaled;
        let output = model.forward(&input, &sigma, cond.as_ref()).unwrap();
        assert_near(name, &to_f64(&output).unwrap(), &expected("output"), 1e-5);
        let without = {
            let _guard = tch::no_grad_guard();
            model.forward(&input, &sigma, cond.as_ref()).unwrap()
        };
        assert_near(name, &to_f64(&without).unwrap(), &expected("output"), 1e-5);

        let (input, target) = match name {
            "dit_flow" => (&x0 * (1.0 - &column) + &column * &eps, &eps - &x0),
            _ => (input, eps),
        };
        let mut loss = |output: &Tensor| {
            let far = output - &target;
            let loss = far.square().mean(Kind::Float);
            Ok((loss, far * (2.0 / output.numel() as f64)))
        };
        let mut rng = Generator::new(0).unwrap();
        let found = model.gradients(&input, &sigma, cond.as_ref(), &mut rng, &mut loss).unwrap();
        assert_near(name, &to_f64(&found.loss).unwrap(), &expected("loss"), 1e-6);
        let of = |key: &str| expected(&format!("grad.{key}"));
        let keys = || model.parameters().named().map(|(key, _)| key);
        let largest = keys().map(|key| of(key)[1]).fold(0.0, f64::max);
        for (key, gradient) in keys().zip(&found.gradients) {
            // A bias right before a norm of its own has no influence: its gradient is rounding.
            let (found, expected) = (three(gradient), of(key));
            let far = found.iter().zip(&expected).map(|(f, e)| (f - e).abs());
            // The first two are sums of up to 10⁵ numbers, each rounded.
            let allowed = 1e-4 * expected[1] + 1e-6 * largest + 1e-5 * expected[0].abs();
            assert!(far.fold(0.0, f64::max) <= allowed, "{name} {key}: {found:?} for {expected:?}");
        }
    }
}

/// The names in the order in which smalldiffusion registers its modules.
fn ordered(golden: &StateDict, case: &str, model: &dyn Trainable) -> Vec<String> {
    let order = to_f64(&golden[&format!("{case}.order")]).unwrap();
    let mut names = names(golden, case);
    names.sort();
    let ours: Vec<&str> = model.parameters().named().map(|(n, _)| n).collect();
    assert_eq!(ours.len(), names.len());
    order.iter().map(|&i| names[i as usize].clone()).collect()
}
