//! U-Net and DiT against smalldiffusion's own.

use crate::formula::{assert_gradients, assert_near, fill, names, ordered, path, three, wave};
use tch::{Device, Kind, Tensor};
use tweedie_core::{Cond, Network};
use tweedie_models::ModelSpec;
use tweedie_models::dit::DitConfig;
use tweedie_models::embed::NoiseEmbedding;
use tweedie_models::unet::UnetConfig;
use tweedie_torch::rng::Generator;
use tweedie_torch::tensor::{from_f64, to_f64};
use tweedie_torch::weights::{KindPolicy, StateDict, load};

fn golden() -> StateDict {
    load(&path("images.safetensors"), KindPolicy::Keep, Device::Cpu).unwrap()
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
        (
            "unet_flow_classes",
            ModelSpec::Unet(UnetConfig {
                image_size: 8,
                channels: 1,
                ch: 32,
                ch_mult: vec![1, 2],
                num_res_blocks: 1,
                embed_ch_mult: 1,
                attn_resolutions: vec![4],
                dropout: 0.0,
                noise_embedding: NoiseEmbedding::FlowTime,
                num_classes: 3,
                dropout_prob: 0.0,
                ..Default::default()
            }),
        ),
        (
            "dit_flow_classes",
            dit(DitConfig {
                image_size: 4,
                channels: 2,
                depth: 2,
                head_dim: 4,
                num_heads: 4,
                noise_embedding: NoiseEmbedding::FlowTime,
                num_classes: 3,
                ..Default::default()
            }),
        ),
    ]
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
        assert_eq!(model.parameters().named().len(), names(&golden, name, "start").len(), "{name}");
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
        fill(model.as_ref(), &ordered(&golden, name, "start"));
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
            "dit_flow" | "dit_flow_classes" | "unet_flow_classes" => {
                (&x0 * (1.0 - &column) + &column * &eps, &eps - &x0)
            }
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
        assert_gradients(&golden, name, model.as_ref(), &found.gradients);
    }
}
