//! Commands that list and print.

use crate::support::{json, stdout, swissroll};
use serde_json::json as object;
use std::collections::BTreeMap;
use std::path::Path;
use tweedie::core::Parametrization;
use tweedie::models::{ModelSpec, files};
use tweedie::tch::{Device, Kind, Tensor};
use tweedie::torch::weights;

fn here() -> &'static Path {
    Path::new(".")
}

#[test]
fn samplers_say_what_they_are() {
    let samplers = json(here(), &["samplers", "--json"]);
    let samplers = samplers.as_array().unwrap();
    for name in ["ddim", "ddpm", "accelerated", "euler", "heun"] {
        let sampler = samplers.iter().find(|s| s["name"] == name).unwrap();
        assert!(sampler["order"].is_u64() && sampler["evaluations"].is_u64(), "{sampler}");
        assert!(sampler["stochastic"].is_boolean() && sampler["source"].is_string(), "{sampler}");
    }
}

#[test]
fn recipes_are_listed_and_printed() {
    let recipes = json(here(), &["recipes", "--json"]);
    let names: Vec<_> = recipes.as_array().unwrap().iter().map(|r| r["name"].clone()).collect();
    for name in ["swissroll", "digits-unet", "fashion-mnist-dit", "imagenet-latent-dit"] {
        assert!(names.contains(&name.into()), "{names:?}");
    }
    assert!(stdout(here(), &["recipes", "swissroll"]).contains("[schedule]"));
}

#[test]
fn a_schedule_is_printed_least_noise_first_and_a_grid_noise_first() {
    let options =
        ["schedule", "log-linear", "--n", "200", "--sigma-min", "0.005", "--sigma-max", "10"];
    let table = json(here(), &[&options[..], &["--json"]].concat());
    let sigma =
        |object: &serde_json::Value, i: usize| object["levels"][i]["sigma"].as_f64().unwrap();
    assert_eq!(table["name"], "log-linear");
    assert_eq!(table["levels"].as_array().unwrap().len(), 200);
    // Tables hold what single precision gives, as smalldiffusion's do.
    assert!((sigma(&table, 0) - 0.005).abs() < 1e-8);
    assert!((sigma(&table, 199) - 10.0).abs() < 1e-5);
    let grid = json(here(), &[&options[..], &["--steps", "20", "--json"]].concat());
    assert_eq!(grid["levels"].as_array().unwrap().len(), 21);
    assert!((sigma(&grid, 0) - 10.0).abs() < 1e-5);
    assert!((sigma(&grid, 20) - 0.005).abs() < 1e-8);
    assert_eq!(grid["levels"][3]["alpha"], 1.0);
    assert!(grid["levels"][3]["t"].is_number());
}

#[test]
fn a_schedule_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    stdout(folder.path(), &["schedule", "cosine", "-o", "cosine.png"]);
    let png = std::fs::read(folder.path().join("cosine.png")).unwrap();
    assert_eq!(&png[1..4], b"PNG");
}

#[test]
fn a_file_is_inspected() {
    let weights = swissroll().join("checkpoints/step-000020/model.safetensors");
    let seen = json(here(), &["inspect", weights.to_str().unwrap(), "--json"]);
    // 4·16 + 16, 16·16 + 16, 16·2 + 2
    assert_eq!(seen["parameters"], 386);
    assert_eq!(seen["tensors"].as_array().unwrap().len(), 6);
    assert_eq!(seen["dtypes"]["F32"], 6);
    assert_eq!(seen["family"], "time-input-mlp");
}

/// By what the file says of itself, and by its names where it says nothing.
#[test]
fn every_family_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    let family =
        || json(folder.path(), &["inspect", "model.safetensors", "--json"])["family"].clone();
    let settings = [
        object!({ "type": "time-input-mlp", "hidden_dims": [4] }),
        object!({ "type": "conditional-mlp", "hidden_dims": [4] }),
        object!({ "type": "unet", "image_size": 8, "ch": 4, "norm_groups": 4 }),
        object!({ "type": "dit", "image_size": 8, "depth": 1, "head_dim": 4 }),
        object!({ "type": "transformer-1d", "length": 4, "depth": 1, "head_dim": 4 }),
    ];
    assert_eq!(settings.len(), ModelSpec::NAMES.len());
    for settings in settings {
        let name = settings["type"].clone();
        let spec: ModelSpec = serde_json::from_value(settings).unwrap();
        let model = spec.build(0, Kind::Float, Device::Cpu).unwrap();
        files::save(&file, model.as_ref(), &Parametrization::default(), None).unwrap();
        assert_eq!(family(), name);
        weights::save(&file, model.parameters().named(), &BTreeMap::new(), None).unwrap();
        assert_eq!(family(), name, "by its names");
        let odd = BTreeMap::from([("model".to_owned(), "no JSON".to_owned())]);
        weights::save(&file, model.parameters().named(), &odd, None).unwrap();
        assert_eq!(family(), name, "by its names");
    }
    let t = Tensor::zeros([1], (Kind::Float, Device::Cpu));
    weights::save(&file, [("what.weight", &t)], &BTreeMap::new(), None).unwrap();
    assert!(family().is_null());
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let script = format!("{} samplers | true", env!("CARGO_BIN_EXE_tweedie"));
    let status = std::process::Command::new("sh").args(["-c", &script]).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_reading_has_the_names_of_the_peers() {
    let args = ["bench", "sampler-overhead", "--what", "sample_euler [1,", "--repeat", "1"];
    let row = json(here(), &[&args[..], &["--threads", "1", "--json"]].concat());
    assert_eq!(row["case"], "sampler-overhead");
    assert_eq!(row["what"], "sample_euler [1, 4, 64, 64]");
    assert_eq!(row["unit"], "us/step");
    assert!(row["median"].as_f64().unwrap() > 0.0 && row["n"] == 1 && row["threads"] == 1);
    assert!(row["peak_rss_mb"].as_f64().unwrap() > 1.0);
}
