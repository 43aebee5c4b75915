//! From a run to pictures and tensors.

use crate::support::{copy, digits, json, stdout, swissroll};
use std::path::Path;

fn sample(folder: &Path, run: &Path, args: &[&str]) -> serde_json::Value {
    let args = [&["sample", run.to_str().unwrap(), "--json"], args].concat();
    json(folder, &args)
}

#[test]
fn points_become_a_scatter_an_animation_and_a_tensor() {
    let folder = tempfile::tempdir().unwrap();
    for (name, magic) in [("a.png", &b"\x89PNG"[..]), ("a.gif", b"GIF89a"), ("a.safetensors", b"")]
    {
        let said = sample(folder.path(), swissroll(), &["-n", "64", "--steps", "5", "-o", name]);
        assert_eq!(said["output"], name);
        assert!(said["seconds"]["sample"].as_f64().unwrap() >= 0.0, "{said}");
        assert!(std::fs::read(folder.path().join(name)).unwrap().starts_with(magic));
    }
    let seen = json(folder.path(), &["inspect", "a.safetensors", "--json"]);
    assert_eq!(seen["tensors"][0]["shape"], serde_json::json!([64, 2]));
}

#[test]
fn a_seed_decides_and_the_batch_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |n: &str, seed: &str| {
        let args = ["-n", n, "--seed", seed, "--sampler", "ddpm", "-o", "a.safetensors"];
        sample(folder.path(), swissroll(), &args);
        let file = std::fs::read(folder.path().join("a.safetensors")).unwrap();
        let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        file[8 + header..].to_vec()
    };
    let few = bytes("4", "7");
    assert_eq!(few, bytes("4", "7"));
    assert_ne!(few, bytes("4", "8"));
    let value = |b: &[u8], i: usize| f32::from_le_bytes(b[4 * i..4 * i + 4].try_into().unwrap());
    let many = bytes("40", "7");
    for i in 0..8 {
        // The noise is the same to the bit; matrix products of another size round otherwise.
        assert!((value(&few, i) - value(&many, i)).abs() < 1e-3, "value {i}");
    }
}

#[test]
fn every_class_has_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let args =
        ["--class", "all", "-n", "20", "--guidance-scale", "2", "--steps", "3", "-o", "d.png"];
    let said = sample(folder.path(), digits(), &args);
    assert_eq!(said["samples"], 20);
    let picture = std::fs::read(folder.path().join("d.png")).unwrap();
    let number = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap());
    assert!(number(20) > 3 * number(16), "a sheet of 2 columns and 10 rows");
}

/// Of a run with the checkpoints 10 and 20 the earlier one is the best, by the loss in its state.
#[test]
fn a_checkpoint_is_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    copy(swissroll(), &run);
    for (step, loss) in [(10, 0.5), (20, 0.75)] {
        let path = run.join(format!("checkpoints/step-{step:06}/state.json"));
        let mut state: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        state["validation"] = loss.into();
        std::fs::write(path, state.to_string()).unwrap();
    }
    let sampled = |checkpoint: &[&str]| {
        let said =
            sample(folder.path(), &run, &[&["-n", "4", "--steps", "2"], checkpoint].concat());
        (said["trained_steps"].as_u64().unwrap(), said["output"].as_str().unwrap().to_owned())
    };
    let (last, plain) = sampled(&[]);
    assert_eq!(last, 20);
    assert_eq!(sampled(&["--checkpoint", "last"]), (20, plain.clone()));
    let (best, named) = sampled(&["--checkpoint", "best"]);
    assert!(best == 10 && named != plain, "{named}");
    let (step, named) = sampled(&["--checkpoint", "10"]);
    assert!(step == 10 && named.ends_with("seed-0-step-000010.png"), "{named}");
    for (typed, code, words) in
        [("15", 1, "there are 10, 20"), ("first", 2, "best, last or a step")]
    {
        let mut command = crate::support::tweedie(folder.path());
        let output = command.args(["sample", "run", "--checkpoint", typed]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_run_is_plotted() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    copy(swissroll(), &run);
    let printed = stdout(folder.path(), &["plot", "run"]);
    let path = printed.lines().last().unwrap();
    assert!(std::fs::read(folder.path().join(path)).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn a_failure_leaves_the_earlier_picture() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.png"), "earlier").unwrap();
    let run = swissroll().to_str().unwrap();
    let mut command = crate::support::tweedie(folder.path());
    command.args(["sample", run, "--sampler", "nothing", "-o", "a.png"]).assert().code(2);
    assert_eq!(std::fs::read_to_string(folder.path().join("a.png")).unwrap(), "earlier");
}
