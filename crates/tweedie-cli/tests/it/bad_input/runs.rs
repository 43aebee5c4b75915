//! Run folders that are broken.

use super::refused;
use crate::support::{copy, digits, swissroll, tweedie};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// What is broken, the file that is to be broken, how, and words that must be said.
type Row = (&'static str, &'static str, fn(&Path), &'static [&'static str]);

const MODEL: &str = "checkpoints/step-000020/model.safetensors";
const EMA: &str = "checkpoints/step-000020/ema.safetensors";
const STATE: &str = "checkpoints/step-000020/state.json";

/// What neither `sample` nor `train --resume` can go on with.
const BROKEN: &[Row] = &[
    ("no recipe", "recipe.toml", remove, &["recipe.toml"]),
    ("a recipe that is a folder", "recipe.toml", folder, &["recipe.toml"]),
    ("a broken recipe", "recipe.toml", |p| write(p, b"a = = 1"), &["recipe.toml, line 1"]),
    ("an unknown key", "recipe.toml", |p| append(p, b"\nstep = 3\n"), &["recipe.toml", "step"]),
    ("a recipe without end", "recipe.toml", endless, &["recipe.toml", "more than 1048576 bytes"]),
    ("no checkpoint", "checkpoints", remove, &["no whole checkpoint"]),
    ("checkpoints that are a file", "checkpoints", as_file, &["checkpoints"]),
    ("no state: half-written", STATE, remove, &["no whole checkpoint", "state.json"]),
    ("an empty state", STATE, |p| write(p, b""), &["state.json", "EOF"]),
    ("a cut state", STATE, |p| change(p, |b| b.truncate(b.len() / 2)), &["state.json", "EOF"]),
    ("a state of another step", STATE, |p| state(p, "step", json!(7)), &["is of step 7"]),
    ("a state of the future", STATE, |p| state(p, "format", json!(9)), &["format 9 is not"]),
    ("a negative step", STATE, |p| state(p, "step", json!(-1)), &["state.json", "-1"]),
    ("an unknown note", STATE, |p| state(p, "mood", json!(1)), &["state.json", "mood"]),
    (
        "cut weights",
        MODEL,
        |p| change(p, |b| b.truncate(b.len() - 7)),
        &["model.safetensors: it has"],
    ),
    ("empty weights", MODEL, |p| write(p, b""), &["model.safetensors: it has 0 bytes"]),
    ("no weights", MODEL, remove, &["model.safetensors"]),
    ("another run's weights", MODEL, of_digits, &["model.safetensors: it has"]),
];

/// What is wrong within a weights file whose size is what the state says. `@` is the file.
const WITHIN: &[(&str, fn(&Path), &[&str])] = &[
    ("a false header", |p| change(p, |b| b[9] = b'!'), &["@", "header cannot be read"]),
    ("a header too long", |p| change(p, |b| b[7] = 0x7f), &["@", "it claims a header of"]),
    ("a pointer", |p| write(p, b"version https://git-lfs"), &["@", "git lfs pull"]),
    ("a web page", |p| write(p, b"<!DOCTYPE html><html>"), &["@", "web page"]),
    ("cut off", |p| change(p, |b| b.truncate(b.len() - 7)), &["@", "cut off"]),
    (
        "overlapping offsets",
        |p| tensors(p, |h, _| h["net.0.weight"]["data_offsets"] = json!([0, 256])),
        &["@", "begins at byte", "within another"],
    ),
    (
        "a tensor past the end",
        |p| {
            tensors(p, |h, _| {
                h["net.4.weight"]["data_offsets"] = json!([1_u64 << 40, (1_u64 << 40) + 128]);
            });
        },
        &["@", "nothing owns the bytes"],
    ),
    (
        "a negative shape",
        |p| tensors(p, |h, _| h["net.0.weight"]["shape"] = json!([-16, 4])),
        &["@", "net.0.weight", "[-16, 4]"],
    ),
    (
        "a missing tensor",
        |p| tensors(p, |h, _| rename(h, "net.4.bias", "other")),
        &["@", "missing (net.4.bias)"],
    ),
    ("an extra tensor", |p| tensors(p, extra), &["@", "unexpected (more)"]),
    (
        "a misshapen tensor",
        |p| tensors(p, |h, _| h["net.0.weight"]["shape"] = json!([4, 16])),
        &["@", "net.0.weight is [4, 16], expected [16, 4]"],
    ),
    (
        "no number",
        |p| tensors(p, |_, data| data[..4].copy_from_slice(&f32::NAN.to_le_bytes())),
        &["@", "1 not finite (net."],
    ),
];

/// What only those see who read it: the description by `sample`, the optimiser by `train`.
const OF_SAMPLE: &[(&str, fn(&Path), &[&str])] = &[
    (
        "a description that is no JSON",
        |p| tensors(p, |h, _| h["__metadata__"]["model"] = json!("{")),
        &["@", "model: EOF"],
    ),
    (
        "no description",
        |p| tensors(p, |h, _| drop(h.as_object_mut().unwrap().remove("__metadata__"))),
        &["@", "no model in its metadata"],
    ),
    (
        "a description of a giant",
        |p| {
            tensors(p, |h, _| {
                let model = r#"{"type": "time-input-mlp", "hidden_dims": [99999999999]}"#;
                h["__metadata__"]["model"] = json!(model);
            });
        },
        &["hidden_dims is 99999999999"],
    ),
];

#[test]
fn broken_runs() {
    for (what, file, breakage, words) in BROKEN {
        for command in ["sample run -n 4 --steps 2 -o a.png", "train --resume run"] {
            eprintln!("{what}: {command}");
            broken(command, words, |run| breakage(&run.join(file)));
        }
    }
}

#[test]
fn broken_weights() {
    let sample = "sample run -n 4 --steps 2 -o a.png";
    let resume = "train --resume run";
    let optimizer = "checkpoints/step-000020/optimizer.safetensors";
    let within = |command: &str, file: &str, rows: &[(&str, fn(&Path), &[&str])]| {
        for (what, breakage, words) in rows {
            eprintln!("{what} in {file}: {command}");
            let name = Path::new(file).file_name().unwrap().to_str().unwrap();
            let words: Vec<&str> =
                words.iter().map(|w| if *w == "@" { name } else { *w }).collect();
            broken(command, &words, |run| {
                breakage(&run.join(file));
                keep_size(&run.join(file));
            });
        }
    };
    within(sample, EMA, WITHIN);
    within(sample, EMA, OF_SAMPLE);
    within(resume, MODEL, WITHIN);
    within(resume, EMA, &WITHIN[..3]);
    within(resume, optimizer, &WITHIN[..5]);
}

/// The command fails in the way that it says, leaves no picture, and changes no file of the run.
fn broken(command: &str, words: &[&str], breakage: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    copy(swissroll(), &run);
    // Only the last checkpoint, so that there is no earlier one to fall back to.
    fs::remove_dir_all(run.join("checkpoints/step-000010")).unwrap();
    breakage(&run);
    let before = contents(&run);
    refused(folder.path(), command, 1, words);
    assert!(!folder.path().join("a.png").exists(), "{command}");
    assert!(before == contents(&run), "{command} changed the run");
}

/// Every file below a folder with its bytes, but for the lock.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = vec![];
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => all.extend(contents(&entry.path())),
            // A sparse file of 100 MB is not worth a comparison.
            _ if entry.file_name() == ".lock" || entry.metadata().unwrap().len() > 1 << 20 => {}
            _ => all.push((entry.path().display().to_string(), fs::read(entry.path()).unwrap())),
        }
    }
    all.sort();
    all
}

#[test]
fn metrics_that_cannot_be_read_or_written_are_named() {
    for command in ["plot run", "train --resume run steps=30"] {
        broken(command, &["metrics.jsonl"], |run| folder(&run.join("metrics.jsonl")));
    }
}

/// What a kill leaves at any place of a checkpoint: the one before is used, and training goes on.
#[test]
fn a_half_written_checkpoint_is_passed_over() {
    let states: [fn(&Path); 4] = [
        |c| fs::rename(c.join("step-000020"), c.join(".unfinished-x")).unwrap(),
        |c| remove(&c.join("step-000020/state.json")),
        |c| change(&c.join("step-000020/optimizer.safetensors"), |b| b.truncate(99)),
        |c| remove(&c.join("step-000020/model.safetensors")),
    ];
    for (i, leave) in states.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        copy(swissroll(), &run);
        leave(&run.join("checkpoints"));
        let args = ["sample", "run", "-n", "4", "--steps", "2", "-o", "a.png", "--json"];
        let output = tweedie(folder.path()).args(args).assert().success().get_output().clone();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said["trained_steps"], 10, "{i}");
        tweedie(folder.path()).args(["train", "--resume", "run"]).assert().success();
        let weights = |run: &Path| fs::read(run.join(MODEL)).unwrap();
        assert!(weights(&run) == weights(swissroll()), "{i}: it ends as it would have");
    }
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

fn append(path: &Path, bytes: &[u8]) {
    // Before the first section.
    write(path, &[bytes, &fs::read(path).unwrap()].concat());
}

fn endless(path: &Path) {
    fs::File::create(path).unwrap().set_len(100 << 20).unwrap();
}

fn folder(path: &Path) {
    remove(path);
    fs::create_dir(path).unwrap();
}

fn as_file(path: &Path) {
    remove(path);
    write(path, b"");
}

fn of_digits(path: &Path) {
    fs::copy(digits().join(MODEL), path).unwrap();
}

fn change(path: &Path, how: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    how(&mut bytes);
    write(path, &bytes);
}

fn state(path: &Path, key: &str, value: Value) {
    let mut state: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    state[key] = value;
    write(path, state.to_string().as_bytes());
}

/// Lets the state say the size that the file has now.
fn keep_size(file: &Path) {
    let path = file.with_file_name("state.json");
    let mut state: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    state["files"][name] = json!(fs::metadata(file).unwrap().len());
    // What an earlier version wrote: without hashes, the loader itself has to see what is wrong.
    state.as_object_mut().unwrap().remove("sha256");
    write(&path, state.to_string().as_bytes());
}

/// Changes header and data of a safetensors file.
fn tensors(path: &Path, how: impl Fn(&mut Value, &mut Vec<u8>)) {
    change(path, |bytes| {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        let mut data = bytes[8 + length..].to_vec();
        how(&mut header, &mut data);
        let header = header.to_string();
        *bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat();
    });
}

fn rename(header: &mut Value, from: &str, to: &str) {
    let header = header.as_object_mut().unwrap();
    let tensor = header.remove(from).unwrap();
    header.insert(to.to_owned(), tensor);
}

fn extra(header: &mut Value, data: &mut Vec<u8>) {
    let end = data.len();
    header["more"] = json!({"dtype": "F32", "shape": [1], "data_offsets": [end, end + 4]});
    data.extend([0; 4]);
}
