//! `tweedie eval`: numbers, what is written beside them, and all that can be wrong.

use crate::support::{copy, digits, json, swissroll, tweedie};
use serde_json::Value;
use std::path::Path;
use tweedie::tch::{self, Tensor};
use tweedie::torch::weights;

/// Where the classifier of the digits is kept for all of these tests.
fn cache() -> &'static str {
    static CACHE: std::sync::OnceLock<tempfile::TempDir> = std::sync::OnceLock::new();
    CACHE.get_or_init(|| tempfile::tempdir().unwrap()).path().to_str().unwrap()
}

fn eval(folder: &Path, args: &[&str]) -> Value {
    json(folder, &[&["eval", "--json", "--cache", cache(), "--threads", "1"], args].concat())
}

fn names(metrics: &Value) -> Vec<&str> {
    metrics.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_run_of_digits_is_measured_and_the_outcome_kept() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    copy(digits(), &run);
    let found = eval(folder.path(), &["run", "-n", "50", "--steps", "2", "--seed", "3"]);
    let expected = [
        "class_accuracy",
        "classifier_accuracy",
        "frechet_classifier",
        "memorised",
        "mmd",
        "nearest_distance",
        "precision",
        "recall",
        "sliced_wasserstein",
    ];
    assert_eq!(names(&found), expected);
    // A support vector machine gets 95 of 100 of this split; the run itself has learnt nothing.
    assert!(found["classifier_accuracy"].as_f64().unwrap() > 0.96, "{found}");
    assert!(found["class_accuracy"].as_f64().unwrap() < 0.6, "{found}");
    let written = std::fs::read_to_string(run.join("eval.json")).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["metrics"], found);
    let samples = &written["settings"]["samples"];
    assert_eq!((&samples["count"], &samples["seed"]), (&50.into(), &3.into()));
    assert_eq!(written["settings"]["against"]["count"], 1500);
    assert_eq!(written["settings"]["against"]["test_count"], 297);
    for list in ["indices", "distances", "second"] {
        assert_eq!(written["nearest"][list].as_array().unwrap().len(), 50, "{list}");
    }
    // The same again, from the statistics that were kept.
    let again = eval(folder.path(), &["run", "-n", "50", "--steps", "2", "--seed", "3"]);
    assert_eq!(again, found);
    // The samples as a file are the same samples.
    let mut sample = tweedie(folder.path());
    let args = ["sample", "run", "-n", "50", "--class", "all", "--steps", "2", "--seed", "3"];
    sample.args(args).args(["--threads", "1", "-o", "s.safetensors"]).assert().success();
    let file = eval(folder.path(), &["s.safetensors", "--against", "digits", "-o", "e.json"]);
    assert_eq!(file, found);
    assert!(folder.path().join("e.json").is_file());
}

#[test]
fn points_have_distances_and_no_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    copy(swissroll(), &run);
    let found = eval(folder.path(), &["run", "-n", "40", "--steps", "2"]);
    assert_eq!(names(&found), ["memorised", "mmd", "nearest_distance", "sliced_wasserstein"]);
}

/// A grey picture of one byte everywhere, as the program's own PNG writer would make it.
fn picture(path: &Path, side: u32, value: u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::GrayImage::from_pixel(side, side, image::Luma([value])).save(path).unwrap();
}

#[test]
fn a_folder_of_images_by_class_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    for class in 0..3 {
        for k in 0..4 {
            let name = format!("images/{class}/{k}.png");
            picture(&folder.path().join(name), 8, 40 * k + class);
        }
    }
    let found = eval(folder.path(), &["images", "--against", "digits"]);
    assert!(names(&found).contains(&"class_accuracy") && names(&found).contains(&"precision"));
    // Against itself: no labelled test split; colours, and distances of nothing.
    let found = eval(folder.path(), &["images", "--against", "images"]);
    assert_eq!(found["sliced_wasserstein"], 0.0);
    assert!(!names(&found).contains(&"classifier_accuracy"));
}

fn save(path: &Path, tensors: &[(&str, &Tensor)]) {
    let notes = std::collections::BTreeMap::new();
    weights::save(path, tensors.iter().map(|(name, t)| (*name, *t)), &notes, None).unwrap();
}

/// A folder of images that are WebP, as a sampler of somebody else's may have written them.
#[test]
fn webp_is_read_like_any_image() {
    let folder = tempfile::tempdir().unwrap();
    for k in 0..12 {
        picture(&folder.path().join(format!("images/{}/{k}.webp", k % 3)), 8, 20 * k);
    }
    let found = eval(folder.path(), &["images", "--against", "digits"]);
    assert!(names(&found).contains(&"class_accuracy"), "{found}");
}

/// One sample has no covariance: that is said once, and not that its distance is a bad one.
#[test]
fn one_sample_has_no_distance_and_one_reason() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    copy(digits(), &run);
    let mut command = tweedie(folder.path());
    command.args(["eval", "run", "-n", "1", "--steps", "2", "--cache", cache(), "--threads", "1"]);
    let output = command.output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let about = said.lines().filter(|line| line.contains("frechet_classifier")).count();
    assert_eq!(about, 1, "{said}");
    assert!(said.contains("no frechet_classifier: a covariance: 1 samples"), "{said}");
}

#[test]
fn what_is_wrong_is_said_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("empty")).unwrap();
    picture(&at("large/a.png"), 9, 3);
    picture(&at("mixed/a.png"), 8, 3);
    picture(&at("mixed/b.png"), 9, 3);
    picture(&at("cats/cat/a.png"), 8, 3);
    picture(&at("fine/a.png"), 8, 3);
    picture(&at("broken/a.png"), 8, 3);
    std::fs::write(at("broken/b.png"), "no picture").unwrap();
    std::fs::write(at("w.safetensors"), "half").unwrap();
    std::fs::write(at("a.npz"), "no archive").unwrap();
    let samples = |value: f64| Tensor::full([2, 1, 8, 8], value, tch::kind::FLOAT_CPU);
    save(&at("other.safetensors"), &[("samples", &samples(0.5))]);
    save(&at("nan.safetensors"), &[("samples", &samples(f64::NAN))]);
    let roll = swissroll().to_str().unwrap();
    let cases: &[(&str, i32, &[&str])] = &[
        ("eval", 2, &["Usage"]),
        ("eval nowhere --against digits", 1, &["nowhere"]),
        ("eval fine", 2, &["--against"]),
        ("eval fine --against digit", 2, &["digit", "did you mean digits"]),
        ("eval fine --against nowhere", 2, &["nowhere", "digits, fashion-mnist"]),
        ("eval fine --against fashion-mnist", 1, &["cargo xtask data fashion-mnist"]),
        ("eval fine --against digits -n 5", 2, &["-n", "recipe.toml"]),
        ("eval fine --against digits --steps 5", 2, &["--steps", "recipe.toml"]),
        ("eval fine --against digits --device gpu", 2, &["gpu", "cpu"]),
        ("eval empty --against digits", 1, &["empty", "no images"]),
        ("eval fine --against empty", 1, &["empty", "no images"]),
        ("eval large --against digits", 1, &["large", "[1, 9, 9]", "[1, 8, 8]"]),
        ("eval mixed --against digits", 1, &["b.png", "9 × 9", "8 × 8"]),
        ("eval cats --against digits", 2, &["cat", "no class", "0, 1, 2"]),
        ("eval broken --against digits", 1, &["b.png"]),
        ("eval w.safetensors --against digits", 1, &["w.safetensors"]),
        ("eval a.npz --against digits", 1, &["a.npz"]),
        ("eval fine --against digits --inception w.safetensors", 1, &["w.safetensors"]),
        ("eval fine --against digits --inception none", 1, &["none"]),
        ("eval fine --against digits --inception other.safetensors", 1, &["other.safetensors: "]),
        ("eval nan.safetensors --against digits", 1, &["nan.safetensors", "not finite"]),
        ("eval fine --against digits -o nowhere/e.json", 1, &["nowhere/e.json"]),
        ("eval @roll --against digits -n 4 --steps 2 -o e.json", 1, &["[2]", "[1, 8, 8]"]),
        ("eval @roll -n 0", 2, &["-n"]),
        ("eval @roll --guidance-scale 2 -o e.json", 2, &["--guidance-scale"]),
    ];
    for (typed, code, words) in cases {
        let typed = format!("{typed} --cache {}", cache()).replace("@roll", roll);
        let output = tweedie(folder.path()).args(typed.split_whitespace()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(*code), "tweedie {typed}\n{said}");
        assert!(output.stdout.is_empty(), "tweedie {typed} wrote to stdout");
        for word in *words {
            assert!(said.contains(word), "tweedie {typed}: no {word:?} in\n{said}");
        }
        assert!(!said.contains("panicked") && !said.contains("frame #"), "tweedie {typed}\n{said}");
        assert!(!at("e.json").exists(), "tweedie {typed} left e.json");
    }
}
