//! Averages of the weights, and what is made of them after the run.

use crate::{config, run, trainer};
use std::path::Path;
use tch::Tensor;
use tweedie_torch::weights;
use tweedie_train::ema::power::{Profile, coefficients, decay, gamma};
use tweedie_train::ema::snapshots;
use tweedie_train::{Config, Ema, EmaConfig, LearningRate, checkpoint};

fn profile(sigma_rel: f64, step: f64) -> Profile {
    Profile { gamma: gamma(sigma_rel).unwrap(), step }
}

/// The formulas in NumPy; its integrals are by quadrature.
#[test]
fn numbers_are_those_of_the_papers_formulas() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ema.json");
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let number = |v: &serde_json::Value| v.as_f64().unwrap();
    for pair in golden["gamma"].as_array().unwrap() {
        let (found, expected) = (gamma(number(&pair[0])).unwrap(), number(&pair[1]));
        assert!((found - expected).abs() < 1e-8 * (1.0 + expected), "{found} for {expected}");
    }
    let of = |v: &serde_json::Value| profile(number(&v[0]), number(&v[1]));
    for case in golden["reconstruction"].as_array().unwrap() {
        let stored: Vec<Profile> = case["stored"].as_array().unwrap().iter().map(of).collect();
        let found = coefficients(&stored, of(&case["target"])).unwrap();
        let expected: Vec<f64> =
            case["coefficients"].as_array().unwrap().iter().map(number).collect();
        for (f, e) in found.iter().zip(&expected) {
            // Neighbouring averages are nearly parallel: rounding costs some digits.
            assert!((f - e).abs() < 1e-6, "{found:?} for {expected:?}");
        }
    }
}

/// A parameter that wanders: the average that was kept and the one that is made of others.
#[test]
fn a_reconstruction_is_the_average_that_was_not_kept() {
    let at = |t: u64| {
        let t = t as f64 / 2000.0;
        (7.0 * t).sin() + 3.0 * (1.0 - (-5.0 * t).exp()) + 0.3 * (190.0 * t).cos()
    };
    let widths = [0.05, 0.1, 0.04, 0.07, 0.12, 0.15];
    let gammas = widths.map(|w| gamma(w).unwrap());
    let (mut averages, mut stored) = ([0.0; 6], vec![]);
    for step in 1..=2000 {
        for (average, g) in averages.iter_mut().zip(gammas) {
            let keep = decay(g, step);
            *average = keep * *average + (1.0 - keep) * at(step);
        }
        if step % 100 == 0 {
            stored.push((profile(0.05, step as f64), averages[0]));
            stored.push((profile(0.1, step as f64), averages[1]));
        }
    }
    let profiles: Vec<Profile> = stored.iter().map(|s| s.0).collect();
    for (i, width) in widths.into_iter().enumerate() {
        let factors = coefficients(&profiles, profile(width, 2000.0)).unwrap();
        let made: f64 = factors.iter().zip(&stored).map(|(f, s)| f * s.1).sum();
        // Averages of neighbouring widths lie a tenth apart.
        assert!((made - averages[i]).abs() < 2e-3, "{width}: {made} for {}", averages[i]);
        assert!((factors.iter().sum::<f64>() - 1.0).abs() < 1e-3, "{width}");
    }
}

fn with_averages(steps: u64) -> Config {
    let average = Some(Ema::Power { sigma_rel: 0.075 });
    let lr = LearningRate::constant(0.02);
    let ema = EmaConfig { average, post_hoc: vec![0.05, 0.1] };
    Config { ema, lr, ..config(steps) }
}

/// In a run of its own: an average of the width that samples are made with, from the files of two
/// others.
#[test]
fn stored_averages_make_those_of_another_width() {
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = trainer(with_averages(200));
    for _ in 0..20 {
        run(&mut trainer, 10);
        snapshots::save(&trainer, folder.path()).unwrap();
    }
    let list = snapshots::list(folder.path()).unwrap();
    assert_eq!((list.len(), list[0].step, list[39].sigma_rel), (40, 10, 0.1));
    let made = snapshots::reconstruct(folder.path(), 200, 0.075).unwrap();
    let kept = trainer.averaged().unwrap();
    let network = trainer.model().network.as_ref();
    let (mut off, mut apart) = (0.0, 0.0);
    let square = |t: Tensor| f64::try_from(t.square().sum(tch::Kind::Double)).unwrap();
    for ((name, now), kept) in network.parameters().named().zip(kept.network.parameters().tensors())
    {
        off += square(&made[name] - kept);
        apart += square(now.detach() - kept);
    }
    assert!(off < 1e-3 * apart, "off by {off}, the weights by {apart}");
    let error = snapshots::reconstruct(folder.path(), 5, 0.075).unwrap_err().to_string();
    assert!(error.contains("no stored averages"), "{error}");
    std::fs::write(list[3].path.clone(), "cut off").unwrap();
    assert!(snapshots::reconstruct(folder.path(), 200, 0.075).is_err());
}

/// Every average is in the checkpoint.
#[test]
fn averages_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut whole = trainer(with_averages(10));
    run(&mut whole, 10);
    let expected = checkpoint::save(&whole, &folder.path().join("whole")).unwrap();
    let mut first = trainer(with_averages(10));
    run(&mut first, 3);
    let cut = checkpoint::save(&first, &folder.path().join("cut")).unwrap();
    let mut second = trainer(with_averages(10));
    checkpoint::resume(&mut second, &cut).unwrap();
    run(&mut second, 10);
    let found = checkpoint::save(&second, &folder.path().join("cut")).unwrap();
    let mut read = vec![];
    for name in ["ema.safetensors", "ema-0.05.safetensors", "ema-0.1.safetensors"] {
        let [a, b] = [&expected, &found].map(|c| std::fs::read(c.join(name)).unwrap());
        assert!(a == b, "{name}");
        read.push(a);
    }
    assert!(read[0] != read[1] && read[1] != read[2]);
    assert!(weights::header(&found.join("ema.safetensors")).is_ok());
}
