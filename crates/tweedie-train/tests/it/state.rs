//! What a checkpoint remembers beside weights, and which checkpoints stay.

use crate::{config, objective, run, trainer};
use std::fs;
use std::path::Path;
use tch::{Device, Kind, Tensor};
use tweedie_core::{Parametrization, Prediction};
use tweedie_data::{Batch, Dataset, Loader, LoaderConfig};
use tweedie_models::ModelSpec;
use tweedie_torch::tensor::to_f32;
use tweedie_train::{
    Config, EmaConfig, Error, Retention, Trainer, UncertaintyConfig, Validation, Which, checkpoint,
    retention, run_dir,
};

/// A transformer that computes in half precision, 30 images of 4 × 4 in batches of 7.
fn half(config: Config, size: f64) -> Trainer {
    let x = Tensor::linspace(-1.0, 1.0, 30 * 16, tch::kind::FLOAT_CPU).view([30, 1, 4, 4]) * size;
    let loader = Loader::new(Dataset::new(x, None).unwrap(), LoaderConfig::new(7, 3)).unwrap();
    let spec: ModelSpec = serde_json::from_str(
        r#"{"type": "dit", "image_size": 4, "channels": 1, "patch_size": 2, "depth": 1,
            "head_dim": 8, "num_heads": 2}"#,
    )
    .unwrap();
    let mut network = spec.build(1, Kind::Float, Device::Cpu).unwrap();
    network.compute_in(Kind::Half);
    // Of the data themselves, however large they are.
    let x0 = Parametrization { prediction: Prediction::X0, ..Default::default() };
    Trainer::new(network, objective(x0), loader, config).unwrap()
}

/// Averages, a learnt weighting, batches that end an epoch in the middle of a step.
fn everything(steps: u64) -> Config {
    Config {
        learned_weighting: Some(UncertaintyConfig { channels: 8 }),
        ema: EmaConfig { post_hoc: vec![0.05, 0.1], ..EmaConfig::decay(0.9) },
        ..config(steps)
    }
}

fn bytes(checkpoint: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(checkpoint)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), fs::read(p).unwrap()))
        .collect();
    files.sort();
    files
}

fn goes_on(make: impl Fn() -> Trainer, files: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut whole = make();
    let losses = run(&mut whole, 12);
    let expected = bytes(&checkpoint::save(&whole, &folder.path().join("whole")).unwrap());
    assert_eq!(expected.len(), files);
    for cut in [1, 3, 8] {
        let at = folder.path().join(format!("cut-{cut}"));
        let mut first = make();
        run(&mut first, cut);
        let saved = checkpoint::save(&first, &at).unwrap();
        let mut second = make();
        checkpoint::resume(&mut second, &saved).unwrap();
        assert_eq!(run(&mut second, 12), losses[cut..], "cut at {cut}");
        assert!(bytes(&checkpoint::save(&second, &at).unwrap()) == expected, "cut at {cut}");
    }
}

#[test]
fn a_learnt_weighting_and_several_averages_go_on() {
    goes_on(|| trainer(everything(12)), 7);
}

#[test]
fn the_scale_of_the_loss_goes_on() {
    // Too large for half precision at the first scales: some steps are skipped.
    goes_on(|| half(everything(12), 30.0), 7);
}

#[test]
fn half_precision_skips_what_is_not_finite_and_learns() {
    let mut trainer = half(Config::new(60, 1e-3), 1.0);
    let before = to_f32(trainer.model().network.parameters().tensors().next().unwrap()).unwrap();
    let mut first = 0;
    let mut last = f64::NAN;
    for step in trainer.by_ref() {
        let step = step.unwrap();
        let scale = step.loss_scale.unwrap();
        if scale.skipped == step.step {
            first = step.step;
        }
        assert!(scale.scale <= 65_536.0 && step.loss.is_finite());
        last = step.loss;
    }
    let after = to_f32(trainer.model().network.parameters().tensors().next().unwrap()).unwrap();
    assert!(before != after && last < 1.5, "{first} skipped at first, loss {last}");
    let parameters = trainer.model().network.parameters();
    assert_eq!(parameters.kind(), Kind::Float, "weights stay precise");
}

#[test]
fn a_skipped_step_changes_nothing() {
    let mut trainer = half(Config::new(3, 1e-3), 1e4);
    let values = |t: &Trainer| {
        t.model()
            .network
            .parameters()
            .tensors()
            .flat_map(|p| to_f32(p).unwrap())
            .collect::<Vec<_>>()
    };
    let before = values(&trainer);
    let report = trainer.next().unwrap().unwrap();
    assert!(report.grad_norm.is_none_or(|norm| !norm.is_finite()), "{report:?}");
    assert_eq!(report.loss_scale.map(|l| (l.scale, l.skipped)), Some((32_768.0, 1)));
    assert!(values(&trainer) == before);
}

#[test]
fn weights_that_are_no_numbers_are_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = run_dir::checkpoints_path(folder.path());
    let mut trainer = trainer(config(10));
    run(&mut trainer, 2);
    let good = checkpoint::save(&trainer, &checkpoints).unwrap();
    run(&mut trainer, 1);
    let parameter = trainer.model().network.parameters().tensors().next().unwrap().detach();
    let _ = parameter.get(0).fill_(f64::INFINITY);
    let error = checkpoint::save(&trainer, &checkpoints).unwrap_err();
    assert!(matches!(error, Error::Broken { step: 3, .. }), "{error}");
    assert_eq!(run_dir::latest_checkpoint(folder.path()).unwrap(), (2, good));
}

fn validation(trainer: &Trainer, batch_size: usize) -> Validation {
    let x = Tensor::linspace(-1.0, 1.0, 40, tch::kind::FLOAT_CPU).view([20, 2]);
    let labels = Some(Tensor::zeros([20], (Kind::Int64, Device::Cpu)));
    Validation::new(Batch { x, labels }, trainer.objective(), 4, 9, batch_size).unwrap()
}

/// The same weights give the same numbers, whatever the trainer drew meanwhile.
#[test]
fn a_validation_depends_on_the_weights_alone() {
    let mut trainer =
        trainer(Config { lr: tweedie_train::LearningRate::constant(0.0), ..config(9) });
    let validation = validation(&trainer, 20);
    let first = trainer.validate(&validation, &|| true).unwrap().unwrap();
    run(&mut trainer, 3);
    let second = trainer.validate(&validation, &|| true).unwrap().unwrap();
    assert_eq!((first.step, second.step), (0, 3));
    assert_eq!(first.levels, second.levels);
    let mean = first.levels.iter().map(|l| l.loss).sum::<f64>() / 4.0;
    assert!((first.loss - mean).abs() < 1e-12);
    let sigmas: Vec<f64> = first.levels.iter().map(|l| l.sigma).collect();
    assert!(sigmas.is_sorted() && sigmas[0] > 0.005 && sigmas[3] < 10.0, "{sigmas:?}");
}

/// A network that answers 0 is off by the noise: its loss at every level is the noise's variance.
#[test]
fn a_validation_is_the_mean_square_error() {
    let mut trainer = trainer(Config { ema: EmaConfig::default(), ..config(1) });
    for parameter in trainer.model().network.parameters().tensors() {
        let _ = parameter.detach().zero_();
    }
    let validation = validation(&trainer, 20);
    let report = trainer.validate(&validation, &|| true).unwrap().unwrap();
    for level in &report.levels {
        // 40 numbers of variance 1.
        assert!((level.loss - 1.0).abs() < 1.0, "{report:?}");
    }
    assert!(report.levels[0].loss != report.levels[1].loss, "each level has noise of its own");
}

/// A checkpoint in a folder of its own for each (step, validation loss).
fn checkpoints(folder: &Path, losses: &[Option<f64>]) {
    let mut trainer = trainer(config(100));
    for loss in losses {
        run(&mut trainer, 1);
        let path = checkpoint::save(&trainer, folder).unwrap();
        let mut state = checkpoint::state(&path).unwrap();
        state.validation = *loss;
        fs::write(path.join(checkpoint::STATE), serde_json::to_vec(&state).unwrap()).unwrap();
    }
}

fn steps(folder: &Path) -> Vec<u64> {
    checkpoint::list(folder).unwrap().whole.iter().map(|(step, _)| *step).collect()
}

#[test]
fn the_last_and_the_best_stay() {
    let losses = [Some(0.5), Some(0.2), None, Some(0.3), Some(0.4), None];
    let cases: [(usize, bool, &[u64]); 5] = [
        (0, true, &[1, 2, 3, 4, 5, 6]),
        (2, false, &[5, 6]),
        (2, true, &[2, 5, 6]),
        (1, true, &[2, 6]),
        (9, false, &[1, 2, 3, 4, 5, 6]),
    ];
    for (keep_last, keep_best, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        checkpoints(folder.path(), &losses);
        assert_eq!(retention::best(folder.path()).unwrap().map(|b| b.0), Some(2));
        Retention { keep_last, keep_best }.apply(folder.path()).unwrap();
        assert_eq!(steps(folder.path()), expected, "{keep_last} {keep_best}");
    }
}

/// The only whole checkpoint stays, however many broken ones are newer.
#[test]
fn broken_checkpoints_push_no_whole_one_out() {
    let folder = tempfile::tempdir().unwrap();
    checkpoints(folder.path(), &[None, None, None]);
    for step in [2, 3] {
        fs::write(folder.path().join(format!("step-00000{step}/model.safetensors")), "").unwrap();
    }
    Retention { keep_last: 1, keep_best: false }.apply(folder.path()).unwrap();
    assert_eq!(steps(folder.path()), [1]);
}

/// A stop is heard between two batches, and nothing is remembered of half a validation.
#[test]
fn a_validation_can_be_broken_off() {
    let mut trainer = trainer(config(9));
    // Four levels of 20 samples, 7 a batch: 12 batches.
    let validation = validation(&trainer, 7);
    let asked = std::cell::Cell::new(0);
    let until = |n: usize| {
        let asked = &asked;
        move || {
            asked.set(asked.get() + 1);
            asked.get() <= n
        }
    };
    assert_eq!(trainer.validate(&validation, &until(5)).unwrap(), None);
    assert_eq!(asked.replace(0), 6);
    let folder = tempfile::tempdir().unwrap();
    let saved = checkpoint::save(&trainer, folder.path()).unwrap();
    assert_eq!(checkpoint::state(&saved).unwrap().validation, None);
    assert!(trainer.validate(&validation, &until(12)).unwrap().is_some());
    assert_eq!(asked.get(), 12);
}

/// Averaged weights have the names and shapes of the weights themselves: only a hash tells one file
/// from the other.
#[test]
fn swapped_files_of_one_shape_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = trainer(config(100));
    run(&mut first, 3);
    let path = checkpoint::save(&first, folder.path()).unwrap();
    let (model, ema) = (path.join(checkpoint::MODEL), path.join(checkpoint::EMA));
    let aside = path.join("aside");
    fs::rename(&model, &aside).unwrap();
    fs::rename(&ema, &model).unwrap();
    fs::rename(&aside, &ema).unwrap();
    let error = checkpoint::resume(&mut trainer(config(100)), &path).unwrap_err().to_string();
    assert!(error.contains("ema.safetensors: it is not the file"), "{error}");
    // An earlier version wrote no hashes.
    let mut state = checkpoint::state(&path).unwrap();
    assert_eq!(state.sha256.keys().collect::<Vec<_>>(), state.files.keys().collect::<Vec<_>>());
    state.sha256.clear();
    let old = serde_json::to_string(&state).unwrap();
    assert!(!old.contains("sha256"));
    fs::write(path.join(checkpoint::STATE), old).unwrap();
    checkpoint::resume(&mut trainer(config(100)), &path).unwrap();
}

#[test]
fn a_checkpoint_is_found_by_what_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let find = |which| run_dir::find_checkpoint(folder.path(), which).map(|(step, _)| step);
    let said = |which| find(which).unwrap_err().to_string();
    assert!(said(Which::Step(1)).contains("no whole checkpoint"));
    checkpoints(&run_dir::checkpoints_path(folder.path()), &[Some(0.5), None, Some(0.25), None]);
    assert_eq!(find(Which::Last).unwrap(), 4);
    assert_eq!(find(Which::Best).unwrap(), 3);
    assert_eq!(find(Which::Step(2)).unwrap(), 2);
    assert!(said(Which::Step(7)).ends_with("no checkpoint of step 7; there are 1, 2, 3, 4"));
    let other = tempfile::tempdir().unwrap();
    checkpoints(&run_dir::checkpoints_path(other.path()), &[None]);
    let none = run_dir::find_checkpoint(other.path(), Which::Best).unwrap_err().to_string();
    assert!(none.contains("none was validated"), "{none}");
}
