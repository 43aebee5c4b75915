//! What a transformer of sequences must do, whatever its weights.

use crate::formula::{fill, wave};
use tch::{Device, Kind, Tensor};
use tweedie_core::{Cond, Network, Parametrization};
use tweedie_models::embed::NoiseEmbedding;
use tweedie_models::files::{load, save};
use tweedie_models::transformer_1d::{SequencePositions, Tokens, Transformer1dConfig};
use tweedie_models::{ModelSpec, Trainable};
use tweedie_torch::optim::{AdamW, AdamWConfig};
use tweedie_torch::rng::Generator;
use tweedie_torch::tensor::{from_i64, to_f64};

fn small() -> Transformer1dConfig {
    Transformer1dConfig {
        length: 5,
        tokens: Tokens::Dim(3),
        depth: 2,
        head_dim: 8,
        num_heads: 2,
        ..Default::default()
    }
}

/// With weights that are not 0 anywhere.
fn built(config: Transformer1dConfig, kind: Kind) -> Box<dyn Trainable> {
    let model = ModelSpec::Transformer1d(config).build(0, kind, Device::Cpu).unwrap();
    let names: Vec<String> = model.parameters().named().map(|(n, _)| n.to_owned()).collect();
    fill(model.as_ref(), &names);
    model
}

fn inputs(batch: i64, kind: Kind) -> (Tensor, Tensor) {
    let noise = wave(&[batch], 0.5, 0.2).abs() + 0.1;
    (wave(&[batch, 5, 3], 0.9, 0.1).to_kind(kind), noise.to_kind(kind))
}

fn far(a: &Tensor, b: &Tensor) -> f64 {
    f64::try_from((a - b).abs().max()).unwrap()
}

/// Tokens in another order come out in that order, if nothing says where they are. In double
/// precision, sums in another order.
#[test]
fn without_positions_a_sequence_is_a_set() {
    use SequencePositions::{Learned, None, Rope, SinCos};
    let (x, noise) = inputs(2, Kind::Double);
    let order = from_i64(&[3, 0, 4, 1, 2], &[5]).unwrap();
    for positions in [None, SinCos, Learned, Rope] {
        let model = built(Transformer1dConfig { positions, ..small() }, Kind::Double);
        let there = model.forward(&x.index_select(1, &order), &noise, Option::None).unwrap();
        let here = model.forward(&x, &noise, Option::None).unwrap().index_select(1, &order);
        let far = far(&there, &here);
        assert_eq!(far < 1e-12, positions == None, "{positions:?}: {far}");
    }
}

#[test]
fn a_causal_network_does_not_look_ahead() {
    let (x, noise) = inputs(2, Kind::Double);
    let other = x.copy();
    let _ = other.narrow(1, 3, 2).fill_(0.5);
    for causal in [true, false] {
        let model = built(Transformer1dConfig { causal, ..small() }, Kind::Double);
        let [a, b] = [&x, &other].map(|x| model.forward(x, &noise, None).unwrap());
        let before = far(&a.narrow(1, 0, 3), &b.narrow(1, 0, 3));
        assert_eq!(before < 1e-12, causal, "{before}");
        assert!(far(&a.narrow(1, 3, 2), &b.narrow(1, 3, 2)) > 1e-3);
    }
}

/// A sample alone and in a batch: single precision, other kernels.
#[test]
fn a_sample_is_the_same_alone_and_in_a_batch() {
    let (x, noise) = inputs(7, Kind::Float);
    let model = built(small(), Kind::Float);
    let all = model.forward(&x, &noise, None).unwrap();
    for i in [0, 6] {
        let alone = model.forward(&x.narrow(0, i, 1), &noise.narrow(0, i, 1), None).unwrap();
        assert!(far(&alone, &all.narrow(0, i, 1)) < 1e-5 * far(&all, &all.zeros_like()));
    }
}

/// Along a direction through all parameters: central differences of 1e-5 are right to their
/// square, and to rounding of 1e-16 over 1e-5.
#[test]
fn gradients_are_slopes() {
    let config = Transformer1dConfig {
        num_classes: 3,
        dropout_prob: 0.0,
        positions: SequencePositions::Learned,
        qk_norm: true,
        noise_embedding: NoiseEmbedding::Timestep { scale: 10.0 },
        ..small()
    };
    let model = built(config, Kind::Double);
    let (x, noise) = inputs(3, Kind::Double);
    let cond = Cond::class(&[0, 3, 1]);
    let mut rng = Generator::new(0).unwrap();
    let mut loss = |y: &Tensor| Ok((y.sin().sum(Kind::Double), y.cos()));
    let found = model.gradients(&x, &noise, Some(&cond), &mut rng, &mut loss).unwrap();
    let directions: Vec<Tensor> =
        model.parameters().tensors().map(|p| wave(&p.size(), 2.3, 0.9)).collect();
    let slope: f64 = found
        .gradients
        .iter()
        .zip(&directions)
        .map(|(g, d)| f64::try_from((g * d).sum(Kind::Double)).unwrap())
        .sum();
    const STEP: f64 = 1e-5;
    let at = |step: f64| {
        let _guard = tch::no_grad_guard();
        for (parameter, direction) in model.parameters().tensors().zip(&directions) {
            let _ = parameter.shallow_clone().g_add_(&(direction * step));
        }
        let y = model.forward(&x, &noise, Some(&cond)).unwrap();
        to_f64(&y.sin().sum(Kind::Double)).unwrap()[0]
    };
    let (above, below) = (at(STEP), at(-2.0 * STEP));
    let expected = (above - below) / (2.0 * STEP);
    assert!((slope - expected).abs() < 1e-6 * expected.abs().max(1.0), "{slope} for {expected}");
}

#[test]
fn saved_and_loaded_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let words = Transformer1dConfig { tokens: Tokens::VocabSize(7), num_classes: 2, ..small() };
    for config in [small(), words] {
        let model = built(config.clone(), Kind::Float);
        save(&path, model.as_ref(), &Parametrization::default(), None).unwrap();
        let again = load(&path, Kind::Float, Device::Cpu).unwrap().network;
        assert_eq!(again.spec(), ModelSpec::Transformer1d(config.clone()));
        let (mut x, noise) = inputs(2, Kind::Float);
        if let Tokens::VocabSize(n) = config.tokens {
            x = Tensor::arange(10, (Kind::Int64, Device::Cpu)).remainder(n).reshape([2, 5]);
        }
        let [a, b] = [&model, &again].map(|m| m.forward(&x, &noise, None).unwrap());
        assert_eq!(to_f64(&a).unwrap(), to_f64(&b).unwrap());
    }
}

#[test]
fn a_fresh_network_answers_0_and_learns() {
    let spec = ModelSpec::Transformer1d(small());
    let model = spec.build(0, Kind::Float, Device::Cpu).unwrap();
    let (x, noise) = inputs(8, Kind::Float);
    assert_eq!(far(&model.forward(&x, &noise, None).unwrap(), &x.zeros_like()), 0.0);
    let parameters: Vec<&Tensor> = model.parameters().tensors().collect();
    let mut adamw = AdamW::new(parameters.iter().copied(), AdamWConfig::default()).unwrap();
    let target = x.flip([1]);
    let mut losses = vec![];
    for _ in 0..30 {
        let mut loss = |y: &Tensor| {
            let far = y - &target;
            Ok((far.square().mean(Kind::Float), far * (2.0 / y.numel() as f64)))
        };
        let mut rng = Generator::new(0).unwrap();
        let found = model.gradients(&x, &noise, None, &mut rng, &mut loss).unwrap();
        losses.push(f64::try_from(&found.loss).unwrap());
        adamw.step(&parameters, &found.gradients.iter().collect::<Vec<_>>(), 3e-3).unwrap();
    }
    assert!(losses[29] < 0.5 * losses[0], "{losses:?}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let words = Transformer1dConfig { tokens: Tokens::VocabSize(7), ..small() };
    let (vectors, words) = (built(small(), Kind::Float), built(words, Kind::Float));
    let (x, noise) = inputs(1, Kind::Float);
    let word = |w: i64| from_i64(&[0, 1, 2, 3, w], &[1, 5]).unwrap();
    let cases = [
        (vectors.forward(&x.narrow(1, 0, 4), &noise, None), "expected [batch, 5, 3]"),
        (vectors.forward(&x, &noise, Some(&Cond::class(&[0]))), "this model has no classes"),
        (words.forward(&x, &noise, None), "expected [batch, 5]"),
        (words.forward(&word(7), &noise, None), "a token is 7, expected 0 to 6"),
        (words.forward(&word(-1), &noise, None), "a token is -1"),
        (words.forward(&word(0).to_kind(Kind::Float), &noise, None), "Float, expected Int64"),
    ];
    for (found, expected) in cases {
        let found = found.unwrap_err().to_string();
        assert!(found.contains(expected), "{found}");
    }
    assert_eq!(words.forward(&word(6), &noise, None).unwrap().size(), [1, 5, 7]);
    let rope = SequencePositions::Rope;
    let settings = [
        (Transformer1dConfig { length: 0, ..small() }, "model.length is 0"),
        (Transformer1dConfig { tokens: Tokens::Dim(-3), ..small() }, "model.tokens.dim is -3"),
        (
            Transformer1dConfig { tokens: Tokens::VocabSize(0), ..small() },
            "model.tokens.vocab_size is 0",
        ),
        (
            Transformer1dConfig { positions: rope, head_dim: 6, ..small() },
            "model.head_dim is 6, expected a multiple of 4",
        ),
        (Transformer1dConfig { mlp_ratio: f64::NAN, ..small() }, "model.mlp_ratio is NaN"),
        (Transformer1dConfig { depth: i64::MAX, ..small() }, "model.depth"),
    ];
    for (config, expected) in settings {
        let found = ModelSpec::Transformer1d(config).check().unwrap_err().to_string();
        assert!(found.contains(expected), "{found}");
    }
}
