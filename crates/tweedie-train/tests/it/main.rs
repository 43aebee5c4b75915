//! Training against smalldiffusion's numbers, and against itself after a cut.
#![allow(clippy::unwrap_used, clippy::panic)] // as in any test

mod ema;
mod state;

use std::fs;
use std::path::Path;
use tch::{Device, Kind, Tensor};
use tweedie_core::{NoiseLevel, Parametrization, Prediction, Scaling};
use tweedie_data::{Loader, LoaderConfig, toy};
use tweedie_models::{ModelSpec, Trainable};
use tweedie_schedules::Schedule;
use tweedie_torch::rng::Generator;
use tweedie_torch::weights::{self, KindPolicy, StateDict};
use tweedie_train::objective::Draw;
use tweedie_train::{
    Config, Decay, EmaConfig, Error, LearningRate, Objective, RunDir, Trainer, Weighting,
    checkpoint, run_dir,
};

fn spec(classes: bool) -> ModelSpec {
    let text = match classes {
        true => {
            r#"{"type": "conditional-mlp", "dim": 2, "hidden_dims": [16, 32, 16], "num_classes": 8}"#
        }
        false => r#"{"type": "time-input-mlp", "dim": 2, "hidden_dims": [16, 32, 16]}"#,
    };
    serde_json::from_str(text).unwrap()
}

pub(crate) fn objective(parametrization: Parametrization) -> Objective {
    let levels = Box::new(Schedule::log_linear(200, 0.005, 10.0).unwrap());
    Objective { parametrization, weighting: Weighting::Uniform, levels }
}

pub(crate) fn config(steps: u64) -> Config {
    Config {
        seed: 5,
        lr: LearningRate { lr: 2e-3, warmup_steps: 3, decay: Decay::Cosine, decay_start: 0 },
        clip_norm: Some(0.5),
        accumulate: 2,
        ema: EmaConfig::decay(0.9),
        ..Config::new(steps, 2e-3)
    }
}

/// Batches of 7 out of 60 labelled points: an epoch ends in the middle of steps.
pub(crate) fn trainer(config: Config) -> Trainer {
    let points = toy::by_name("eight-gaussians", 60, 0).unwrap().dataset().unwrap();
    let loader = Loader::new(points, LoaderConfig::new(7, 3)).unwrap();
    let network = spec(true).build(1, Kind::Float, Device::Cpu).unwrap();
    Trainer::new(network, objective(Parametrization::default()), loader, config).unwrap()
}

pub(crate) fn run(trainer: &mut Trainer, steps: usize) -> Vec<f64> {
    trainer.take(steps).map(|step| step.unwrap().loss).collect()
}

fn files(checkpoint: &Path) -> Vec<Vec<u8>> {
    let names = [checkpoint::MODEL, checkpoint::EMA, checkpoint::OPTIMIZER, checkpoint::STATE];
    names.iter().map(|name| fs::read(checkpoint.join(name)).unwrap()).collect()
}

/// Stopped after any number of steps and resumed, a run ends with the same bytes: parameters,
/// averages, optimiser and state.
#[test]
fn a_resumed_run_equals_one_that_never_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut whole = trainer(config(20));
    let losses = run(&mut whole, 20);
    let expected = files(&checkpoint::save(&whole, &folder.path().join("whole")).unwrap());
    for cut in [1, 4, 9, 13] {
        let at = folder.path().join(format!("cut-{cut}"));
        let mut first = trainer(config(20));
        run(&mut first, cut);
        let saved = checkpoint::save(&first, &at).unwrap();
        let mut second = trainer(config(20));
        checkpoint::resume(&mut second, &saved).unwrap();
        assert_eq!(second.step(), cut as u64);
        assert_eq!(run(&mut second, 20), losses[cut..]);
        assert!(files(&checkpoint::save(&second, &at).unwrap()) == expected, "cut at {cut}");
    }
}

#[test]
fn a_run_ends_after_its_steps_and_learns() {
    let mut trainer = trainer(Config { accumulate: 1, ..config(300) });
    let losses = run(&mut trainer, 1000);
    assert_eq!((losses.len(), trainer.step()), (300, 300));
    let mean = |l: &[f64]| l.iter().sum::<f64>() / l.len() as f64;
    let (first, last) = (mean(&losses[..20]), mean(&losses[250..]));
    assert!(last < 0.9 * first, "it did not learn: {first} to {last}");
    assert!(trainer.next().is_none());
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_before_the_update() {
    let mut trainer = trainer(config(10));
    run(&mut trainer, 2);
    let parameter = trainer.model().network.parameters().tensors().next().unwrap().detach();
    let _ = parameter.get(0).fill_(f64::NAN);
    let other = trainer.model().network.parameters().tensors().nth(2).unwrap().copy();
    let error = trainer.next().unwrap().unwrap_err();
    assert!(matches!(error, Error::NonFinite { step: 3, .. }), "{error}");
    assert!(other.equal(trainer.model().network.parameters().tensors().nth(2).unwrap()));
    assert!(trainer.next().is_none());
}

#[test]
fn checkpoints_that_are_not_whole_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = run_dir::checkpoints_path(folder.path());
    let mut trainer = trainer(config(10));
    for _ in 0..3 {
        run(&mut trainer, 2);
        checkpoint::save(&trainer, &checkpoints).unwrap();
    }
    let latest = |expected: u64| {
        let (step, path) = run_dir::latest_checkpoint(folder.path()).unwrap();
        assert_eq!(step, expected);
        path
    };
    let six = latest(6);
    fs::write(six.join(checkpoint::OPTIMIZER), "cut off").unwrap();
    let four = latest(4);
    fs::remove_file(four.join(checkpoint::MODEL)).unwrap();
    let two = latest(2);
    fs::write(two.join(checkpoint::STATE), "{\"format\": 1, ").unwrap();
    let error = run_dir::latest_checkpoint(folder.path()).unwrap_err().to_string();
    assert!(error.contains("no whole checkpoint: ") && error.contains("and 2 more"), "{error}");
    let error = checkpoint::resume(&mut trainer, &six).unwrap_err().to_string();
    assert!(error.contains("optimizer.safetensors: it has 7 bytes"), "{error}");
    let error = checkpoint::state(&two).unwrap_err().to_string();
    assert!(error.contains("state.json: not a checkpoint's state"), "{error}");
}

#[test]
fn another_seed_or_model_cannot_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = trainer(config(10));
    run(&mut first, 1);
    let saved = checkpoint::save(&first, folder.path()).unwrap();
    let error =
        checkpoint::resume(&mut trainer(Config { seed: 6, ..config(10) }), &saved).unwrap_err();
    assert!(error.to_string().contains("the seed is 6"), "{error}");
    let points = toy::by_name("swissroll", 60, 0).unwrap().dataset().unwrap();
    let loader = Loader::new(points, LoaderConfig::new(7, 3)).unwrap();
    let network = spec(false).build(1, Kind::Float, Device::Cpu).unwrap();
    let mut other =
        Trainer::new(network, objective(Parametrization::default()), loader, config(10)).unwrap();
    let error = checkpoint::resume(&mut other, &saved).unwrap_err().to_string();
    assert!(error.contains("for another model"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = checkpoint::save(&trainer(config(1)), &file.join("below")).unwrap_err().to_string();
    assert!(error.contains("file/below: "), "{error}");
    assert!(RunDir::open(&file).is_err());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let refused = |config: Config| {
        let points = toy::by_name("moons", 60, 0).unwrap().dataset().unwrap();
        let loader = Loader::new(points, LoaderConfig::new(7, 3)).unwrap();
        let network = spec(false).build(1, Kind::Float, Device::Cpu).unwrap();
        let objective = objective(Parametrization::default());
        Trainer::new(network, objective, loader, config).unwrap_err().to_string()
    };
    assert!(refused(Config::new(1, f64::NAN)).contains("lr is NaN"));
    assert!(refused(Config { ema: EmaConfig::decay(1.0), ..config(1) }).contains("ema_decay is 1"));
    assert!(refused(Config { accumulate: 0, ..config(1) }).contains("accumulate is 0"));
    assert!(refused(Config { clip_norm: Some(-1.0), ..config(1) }).contains("clip_norm is -1"));
}

/// Losses and gradients of smalldiffusion for fixed data, levels and noise.
/// The golden file and its script are those of `tweedie-models`. Single precision and another
/// order of operations: 1e-5 of the largest.
#[test]
fn losses_and_gradients_are_smalldiffusions() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tweedie-models/tests/golden/mlp.safetensors");
    let golden = weights::load(&path, KindPolicy::Keep, Device::Cpu).unwrap();
    let with = |prediction, scaling| Parametrization { prediction, scaling, ..Default::default() };
    let cases = [
        ("eps", with(Prediction::Eps, Scaling::None)),
        ("x0", with(Prediction::X0, Scaling::None)),
        ("v", with(Prediction::V, Scaling::None)),
        ("scaled", with(Prediction::Eps, Scaling::Scaled)),
        ("scaled_v", with(Prediction::V, Scaling::Scaled)),
        ("flow", Parametrization::flow()),
    ];
    for (name, parametrization) in cases {
        let flow = name == "flow";
        let sigmas =
            Vec::<f32>::try_from(&golden[if flow { "loss.t" } else { "loss.sigma" }]).unwrap();
        let level = if flow { NoiseLevel::flow } else { NoiseLevel::ve };
        let levels: Vec<NoiseLevel> = sigmas.iter().map(|&s| level(s.into())).collect();
        let network = initial(&golden);
        let objective = objective(parametrization);
        let example =
            objective.example_at(&golden["loss.x0"], &levels, &golden["loss.noise"]).unwrap();
        let mut rng = Generator::new(0).unwrap();
        let found = network
            .gradients(&example.input, &example.noise, None, &mut rng, &mut |out| {
                Ok(example.loss(out))
            })
            .unwrap();
        close(&found.loss, &golden[&format!("loss.{name}.loss")].squeeze(), name);
        for ((parameter, _), gradient) in network.parameters().named().zip(&found.gradients) {
            close(gradient, &golden[&format!("loss.{name}.grad.{parameter}")], name);
        }
    }
}

fn initial(golden: &StateDict) -> Box<dyn Trainable> {
    let network = spec(false).build(1, Kind::Float, Device::Cpu).unwrap();
    let state = golden.iter().filter_map(|(name, t)| {
        Some((name.strip_prefix("time.state.")?.to_owned(), t.shallow_clone()))
    });
    network.parameters().load(&state.collect()).unwrap();
    network
}

fn close(found: &Tensor, expected: &Tensor, name: &str) {
    let off = f64::try_from((found - expected).abs().max()).unwrap();
    let size = f64::try_from(expected.abs().max()).unwrap();
    assert!(off <= 1e-5 * size, "{name}: off by {off} of {size}");
}

/// What a batch draws is a function of seed and number, and of unit variance.
#[test]
fn examples_are_a_function_of_their_address() {
    let objective = objective(Parametrization::default());
    let x0 = Tensor::zeros([20_000, 2], tch::kind::FLOAT_CPU);
    let example = |index| objective.example(&x0, Draw { seed: 1, index }).unwrap();
    assert!(example(3).target.equal(&example(3).target));
    assert!(!example(3).target.equal(&example(4).target));
    assert!(!example(3).target.equal(&example(3 + (1 << 32)).target));
    let std = example(3).target.std(true).double_value(&[]);
    assert!((std - 1.0).abs() < 0.02, "{std}");
}

#[test]
fn a_level_that_the_network_cannot_take_is_refused() {
    let points = toy::by_name("eight-gaussians", 60, 0).unwrap().dataset().unwrap();
    let loader = Loader::new(points, LoaderConfig::new(7, 3)).unwrap();
    let network = spec(true).build(1, Kind::Float, Device::Cpu).unwrap();
    let objective = objective(Parametrization::edm(0.5));
    let error = Trainer::new(network, objective, loader, config(1)).unwrap_err().to_string();
    assert_eq!(error, "noise_input is LogSigma4, expected one that this network can take");
}
