//! The numbers of `tests/golden/make.py`.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};
use tweedie_torch::optim::{self, AdamW, AdamWConfig};
use tweedie_torch::parameters::{
    Conv2d, Conv2dConfig, Embedding, GroupNorm, LayerNorm, Linear, Parameters,
};
use tweedie_torch::rng::Generator;
use tweedie_torch::tensor::{from_f32, from_i64, to_bytes, to_f64, to_i64};

#[derive(Deserialize)]
struct Golden {
    normal: Vec<Normal>,
    in_a_row: InARow,
    below: Vec<Below>,
    permutation: Long,
    uniform: Long,
    layers: Layers,
    adamw: Vec<Adam>,
    clip: Clip,
}

#[derive(Deserialize)]
struct Normal {
    seed: u64,
    n: i64,
    kind: String,
    values: Vec<f64>,
}

#[derive(Deserialize)]
struct InARow {
    seed: u64,
    normal_3: Vec<f64>,
    uniform_4: Vec<f64>,
    below_10: Vec<i64>,
    permutation_9: Vec<i64>,
    normal_20: Vec<f64>,
}

#[derive(Deserialize)]
struct Below {
    seed: u64,
    high: i64,
    values: Vec<i64>,
}

#[derive(Deserialize)]
struct Long {
    seed: u64,
    n: i64,
    sha256: String,
}

#[derive(Deserialize)]
struct Layers {
    parameters: BTreeMap<String, Vec<f64>>,
    fc: Vec<f64>,
    emb: Vec<f64>,
    conv: Vec<f64>,
    ln: Vec<f64>,
}

#[derive(Deserialize)]
struct Adam {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    params: Vec<Vec<f64>>,
    exp_avg: Vec<Vec<f64>>,
    exp_avg_sq: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Clip {
    norm: f64,
    limit: f64,
    first: f64,
    last: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/torch.json")).unwrap()
}

/// Within `ulps` roundings of single precision, relative to the larger of 1 and the value.
fn close(ours: &Tensor, theirs: &[f64], ulps: f64, what: &str) {
    let ours = to_f64(ours).unwrap();
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        let tolerance = ulps * f64::from(f32::EPSILON) * theirs.abs().max(1.0);
        assert!((ours - theirs).abs() <= tolerance, "{what}: {ours} for {theirs}");
    }
}

/// libtorch takes logarithms and cosines of its own on some processors: a few roundings apart.
const OTHER_PROCESSOR: f64 = 4.0;

#[test]
fn normal_numbers_are_pytorchs() {
    for Normal { seed, n, kind, values } in golden().normal {
        let kind = match kind.as_str() {
            "float32" => Kind::Float,
            "float64" => Kind::Double,
            _ => Kind::BFloat16,
        };
        let ours = Generator::new(seed).unwrap().normal(&[n], kind).unwrap();
        assert_eq!(ours.kind(), kind);
        // A rounding of bf16 is 2^16 of f32.
        let ulps = OTHER_PROCESSOR * if kind == Kind::BFloat16 { 65536.0 } else { 1.0 };
        close(&ours, &values, ulps, &format!("{n} of {kind:?}"));
    }
}

#[test]
fn a_stream_goes_on_through_every_kind_of_draw() {
    let g = golden().in_a_row;
    let mut ours = Generator::new(g.seed).unwrap();
    close(&ours.normal(&[3], Kind::Float).unwrap(), &g.normal_3, OTHER_PROCESSOR, "normal_3");
    let uniform = ours.uniform(&[4], Kind::Float, -2.0, 3.0).unwrap();
    close(&uniform, &g.uniform_4, 0.0, "uniform_4");
    assert_eq!(to_i64(&ours.below(10, &[6]).unwrap()).unwrap(), g.below_10);
    assert_eq!(to_i64(&ours.permutation(9).unwrap()).unwrap(), g.permutation_9);
    close(&ours.normal(&[20], Kind::Float).unwrap(), &g.normal_20, OTHER_PROCESSOR, "normal_20");
}

#[test]
fn whole_numbers_are_pytorchs_bit_for_bit() {
    let g = golden();
    for Below { seed, high, values } in g.below {
        let ours = Generator::new(seed).unwrap().below(high, &[5]).unwrap();
        assert_eq!(to_i64(&ours).unwrap(), values, "below {high}");
    }
    let digest = |t: &Tensor| -> String {
        Sha256::digest(to_bytes(t).unwrap()).iter().map(|b| format!("{b:02x}")).collect()
    };
    let Long { seed, n, sha256 } = g.permutation;
    assert_eq!(digest(&Generator::new(seed).unwrap().permutation(n).unwrap()), sha256);
    let Long { seed, n, sha256 } = g.uniform;
    let ours = Generator::new(seed).unwrap().uniform(&[n], Kind::Float, 0.0, 1.0).unwrap();
    assert_eq!(digest(&ours), sha256);
}

#[test]
fn layers_start_and_work_as_pytorchs() {
    let g = golden().layers;
    let mut p = Parameters::new(11, Kind::Float, Device::Cpu).unwrap();
    let mut root = p.root();
    let fc = Linear::new(&mut root.sub("fc"), 3, 4, true).unwrap();
    let emb = Embedding::new(&mut root.sub("emb"), 3, 5).unwrap();
    let grouped = Conv2dConfig { padding: 0, groups: 2, ..Default::default() };
    let conv = Conv2d::new(&mut root.sub("conv"), 4, 6, grouped).unwrap();
    let ln = LayerNorm::new(&mut root.sub("ln"), 4, 1e-5).unwrap();
    let gn = GroupNorm::new(&mut root.sub("gn"), 2, 6, 1e-5).unwrap();
    assert_eq!(p.named().count(), g.parameters.len());
    for (name, ours) in p.named() {
        close(ours, &g.parameters[name], OTHER_PROCESSOR, name);
    }
    let ramp = |from: f32, to: f32, shape: &[i64]| {
        let n = shape.iter().product::<i64>();
        let at = |i: i64| from + (to - from) * i as f32 / (n - 1) as f32;
        from_f32(&(0..n).map(at).collect::<Vec<_>>(), shape).unwrap()
    };
    // Sums in another order: roundings of values of order 1.
    close(&fc.forward(&ramp(-1.0, 1.0, &[2, 3])), &g.fc, 16.0, "fc");
    close(&emb.forward(&from_i64(&[2, 0], &[2]).unwrap()), &g.emb, OTHER_PROCESSOR, "emb");
    let image = ramp(-1.0, 1.0, &[2, 4, 5, 5]);
    close(&gn.forward(&conv.forward(&image)).unwrap(), &g.conv, 64.0, "conv and gn");
    close(&ln.forward(&ramp(-3.0, 1.0, &[2, 4]).square()), &g.ln, 64.0, "ln");
}

#[test]
fn adamw_is_pytorchs() {
    for g in golden().adamw {
        let params = [
            from_f32(&[-2.0, -1.2, -0.4, 0.4, 1.2, 2.0], &[2, 3]).unwrap(),
            from_f32(&[0.5, -0.25, 1e-3], &[3]).unwrap(),
        ];
        let config = AdamWConfig {
            beta1: g.betas.0,
            beta2: g.betas.1,
            weight_decay: g.weight_decay,
            eps: g.eps,
        };
        let mut adamw = AdamW::new(&params, config).unwrap();
        for step in 0..10 {
            let sign = if step % 2 == 0 { 1.0 } else { -1.0 };
            let grad = |(p, i): (&Tensor, f64)| (p * i - 0.1 * f64::from(step)) * sign;
            let grads: Vec<Tensor> = params.iter().zip([1.0, 2.0]).map(grad).collect();
            adamw.step(&[&params[0], &params[1]], &[&grads[0], &grads[1]], g.lr).unwrap();
        }
        let state = adamw.state_dict(["0", "1"]);
        for i in 0..2 {
            // A gradient near its change of sign carries a rounding on for ten steps.
            close(&params[i], &g.params[i], 8.0, "parameters");
            close(&state[&format!("{i}.exp_avg")], &g.exp_avg[i], 8.0, "exp_avg");
            close(&state[&format!("{i}.exp_avg_sq")], &g.exp_avg_sq[i], 8.0, "exp_avg_sq");
        }
    }
}

#[test]
fn clipping_is_pytorchs() {
    let g = golden().clip;
    let ramp: Vec<f32> = (0..700).map(|i| -3.0 + 8.0 * i as f32 / 699.0).collect();
    let grads = [from_f32(&ramp, &[700]).unwrap(), from_f32(&[2.5; 12], &[3, 4]).unwrap()];
    let norm = optim::clip_norm(&[&grads[0], &grads[1]], g.limit).unwrap();
    assert!((norm / g.norm - 1.0).abs() < 1e-6, "{norm} for {}", g.norm); // theirs is single
    let first = to_f64(&grads[0]).unwrap()[0];
    let last = to_f64(&grads[1]).unwrap()[0];
    // PyTorch divides by norm + 1e-6, and both round: 1e-6 of the value.
    assert!((first / g.first - 1.0).abs() < 1e-6, "{first} for {}", g.first);
    assert!((last / g.last - 1.0).abs() < 1e-6, "{last} for {}", g.last);
}
