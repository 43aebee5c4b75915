//! Identity attention, layer by layer.

use tch::{Device, Kind, Tensor};
use tweedie_core::{Cond, Denoiser, Guidance, Model, Network, NoiseLevel, Parametrization};
use tweedie_models::dit::{Dit, DitConfig};
use tweedie_models::transformer::{Attention, AttentionConfig};
use tweedie_models::unet::{Unet, UnetConfig};
use tweedie_models::{IdentityAttention, ModelSpec, SelfAttention};
use tweedie_torch::parameters::Parameters;

const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);

fn normal(shape: &[i64], seed: u64) -> Tensor {
    tweedie_core::Noise::seeded(seed).initial(shape, Kind::Double, Device::Cpu).unwrap()
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

/// Where all tokens are one, a softmax over them is a mean of equals, and the map makes no
/// difference; where they differ, it does; and a token's answer depends on that token alone.
#[test]
fn a_token_attends_to_itself_alone() {
    let mut parameters = Parameters::new(0, Kind::Double, Device::Cpu).unwrap();
    let (num_heads, head_dim, qkv_bias, qk_norm, causal) = (2, 4, true, false, false);
    let config = AttentionConfig { num_heads, head_dim, qkv_bias, qk_norm, causal };
    let attention = Attention::new(&mut parameters.root(), config).unwrap();
    let one = normal(&[3, 1, 8], 1);
    let equal = one.expand([3, 5, 8], false);
    let off = difference(&attention.forward_identity(&equal), &attention.forward(&equal, None));
    assert!(off < 1e-14, "off by {off:e}"); // in double precision
    let tokens = normal(&[3, 5, 8], 2);
    let out = attention.forward_identity(&tokens);
    assert!(difference(&out, &attention.forward(&tokens, None)) > 1e-2);
    for i in 0..5 {
        let alone = attention.forward(&tokens.narrow(1, i, 1), None);
        assert!(difference(&out.narrow(1, i, 1), &alone) < 1e-14);
    }
}

fn unet() -> Unet {
    let config = UnetConfig {
        image_size: 8,
        channels: 2,
        ch: 8,
        ch_mult: vec![1, 2],
        num_res_blocks: 1,
        attn_resolutions: vec![4],
        norm_groups: 4,
        num_classes: 3,
        ..Default::default()
    };
    Unet::new(&config, 0, Kind::Double, Device::Cpu).unwrap()
}

/// Names, places, and that each layer's map is used: every choice of layers has an answer of its
/// own, none of them that of the network itself, which no layers are.
fn every_choice_differs(network: &dyn SelfAttention, x: &Tensor, names: &[&str]) {
    assert_eq!(network.attention_layers(), names);
    let (noise, cond) = (Tensor::full([x.size()[0]], 0.7, DOUBLE), Cond::class(&[1, 2]));
    let cond = network.null_cond(2).is_some().then_some(&cond);
    let own = network.forward(x, &noise, cond).unwrap();
    let mut answers = vec![own.copy()];
    assert!(own.equal(&network.forward_identity(x, &noise, cond, &[]).unwrap()));
    for name in names {
        let weak = IdentityAttention::new(network, &[name]).unwrap();
        answers.push(weak.forward(x, &noise, cond).unwrap());
    }
    answers.push(IdentityAttention::new(network, names).unwrap().forward(x, &noise, cond).unwrap());
    for i in 0..answers.len() {
        for j in 0..i {
            let off = difference(&answers[i], &answers[j]);
            assert!(off > 1e-9 && off < 10.0, "{i} and {j}: {off:e}");
        }
    }
}

#[test]
fn layers_are_chosen_by_name() {
    let x = normal(&[2, 2, 8, 8], 3);
    let names = ["downs.1.blocks.0.1", "mid.1", "ups.0.blocks.0.1", "ups.0.blocks.1.1"];
    every_choice_differs(&unet(), &x, &names);
    let both = IdentityAttention::new(&unet(), &["ups.0.blocks.0", "ups.0.blocks.1"]).map(drop);
    assert!(both.is_ok());
    let config = DitConfig {
        image_size: 8,
        channels: 2,
        depth: 3,
        num_heads: 2,
        head_dim: 8,
        ..Default::default()
    };
    let dit = Dit::new(&config, 0, Kind::Double, Device::Cpu).unwrap();
    // Its last layer begins as 0: then nothing makes a difference.
    for p in tweedie_models::Trainable::parameters(&dit).tensors() {
        let _guard = tch::no_grad_guard();
        p.shallow_clone().copy_(&(p + normal(&p.size(), 9) * 0.1));
    }
    every_choice_differs(&dit, &x, &["blocks.0", "blocks.1", "blocks.2"]);
    let network = unet();
    for wrong in ["mi", "middle", "downs.0", ""] {
        let error = IdentityAttention::new(&network, &[wrong]).unwrap_err().to_string();
        assert!(error.contains("mid.1, ups.0.blocks.0.1"), "{error}");
    }
}

/// The guidance of the paper's eq. 14, with the perturbed network written out.
#[test]
fn guidance_points_away_from_it() {
    let (network, level) = (unet(), NoiseLevel::ve(0.8));
    let (x, cond) = (normal(&[2, 2, 8, 8], 4), Cond::class(&[0, 2]));
    let model = Model::new(&network, Parametrization::default()).unwrap();
    let identity = IdentityAttention::new(&network, &["mid"]).unwrap();
    let perturbed = Model::new(identity, Parametrization::default()).unwrap();
    let guided = Guidance::perturbed(model.given(&cond), perturbed.given(&cond), 1.5);
    let strong = model.given(&cond).denoise(&x, level).unwrap();
    let noise = Tensor::full([2], 0.8, (Kind::Float, Device::Cpu));
    let eps = network.forward_identity(&x, &noise, Some(&cond), &[1]).unwrap();
    let weak = &x - eps * 0.8;
    let expected = &strong + (&strong - weak) * 1.5;
    assert!(difference(&guided.denoise(&x, level).unwrap(), &expected) < 1e-12);
    assert!(difference(&strong, &expected) > 1e-6);
}

#[test]
fn a_spec_knows_whether_there_is_attention() {
    let with = |spec: &str| {
        let spec: ModelSpec = serde_json::from_str(spec).unwrap();
        spec.build(0, Kind::Float, Device::Cpu).unwrap().self_attention().is_some()
    };
    assert!(with(r#"{"type": "transformer-1d"}"#) && !with(r#"{"type": "time-input-mlp"}"#));
}
