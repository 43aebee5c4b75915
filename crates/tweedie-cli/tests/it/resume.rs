//! Runs that end before their time.

use crate::support::{SMALL, stdout, tweedie};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const STEPS: &str = "steps=3000";

fn start(folder: &Path, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tweedie"))
        .args(args)
        .current_dir(folder)
        .env("OMP_NUM_THREADS", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Everything that a checkpoint has to remember besides weights.
const STATEFUL: [&str; 10] = [
    "ema_decay=0",
    "ema.sigma_rel=0.08",
    "ema.post_hoc=[0.05,0.1]",
    "ema.snapshot_every=500",
    "objective.learned_weighting.channels=8",
    "validate_every=500",
    "validation.samples=50",
    "validation.held_out=true",
    "checkpoints.keep_last=3",
    "checkpoints.keep_best=true",
];

fn train(run: &str) -> Vec<&str> {
    [&["train", "swissroll", STEPS, "--run", run], &SMALL[..]].concat()
}

fn stateful(run: &str) -> Vec<&str> {
    let args = [train(run), STATEFUL.to_vec()].concat();
    // A validation with every checkpoint is enough of them.
    args.into_iter()
        .filter(|a| *a != "checkpoint_every=10")
        .chain(["checkpoint_every=100"])
        .collect()
}

/// Waits for at least one checkpoint and a little more.
fn wait_for_a_checkpoint(run: &Path, more: Duration) {
    let limit = Instant::now() + Duration::from_secs(60);
    let checkpoints = run.join("checkpoints");
    while std::fs::read_dir(&checkpoints).map_or(0, |d| d.flatten().count()) < 2 {
        assert!(Instant::now() < limit, "no checkpoint after a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(more);
}

/// The last checkpoint and the stored averages, byte for byte.
fn files(run: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = vec![];
    for folder in ["checkpoints/step-003000", "ema"] {
        for entry in std::fs::read_dir(run.join(folder)).into_iter().flatten() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            files.push((path.strip_prefix(run).unwrap().to_owned(), bytes));
        }
    }
    files.sort();
    files
}

/// The lines of the metrics, but for those that tell of a start.
fn lines(run: &Path) -> Vec<serde_json::Value> {
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |l: &str| serde_json::from_str::<serde_json::Value>(l).unwrap();
    let lines = metrics.lines().map(line).filter(|l| l["kind"] != "start");
    lines
        .map(|mut l| {
            // How long it took is not what happened.
            l["samples_per_second"] = serde_json::Value::Null;
            l
        })
        .collect()
}

#[test]
fn killed_and_resumed_equals_never_killed() {
    for args in [train, stateful] {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        stdout(folder.path(), &args("whole"));
        let mut child = start(folder.path(), &args("killed"));
        for pause in [13, 57] {
            wait_for_a_checkpoint(&path("killed"), Duration::from_millis(pause));
            child.kill().unwrap();
            child.wait().unwrap();
            child = start(folder.path(), &["train", "--resume", "killed"]);
        }
        assert!(child.wait().unwrap().success());
        let (killed, whole) = (files(&path("killed")), files(&path("whole")));
        let names = |files: &[(PathBuf, Vec<u8>)]| -> Vec<PathBuf> {
            files.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&killed), names(&whole));
        assert!(killed == whole, "the bytes differ");
        assert_eq!(lines(&path("killed")), lines(&path("whole")));
    }
}

/// The newest three and the best stay, and samples are made of a width that was not kept.
#[test]
fn stored_averages_and_few_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    stdout(folder.path(), &stateful("run"));
    let run = folder.path().join("run");
    let mut steps: Vec<String> = std::fs::read_dir(run.join("checkpoints"))
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    steps.sort();
    assert!((3..=4).contains(&steps.len()), "{steps:?}");
    assert!(steps.ends_with(&["step-002800", "step-002900", "step-003000"].map(str::to_owned)));
    assert_eq!(std::fs::read_dir(run.join("ema")).unwrap().count(), 12);
    let sample = ["sample", "run", "-n", "4", "--steps", "2"];
    for (width, output) in [("0.07", "a.safetensors"), ("0.12", "b.safetensors")] {
        stdout(folder.path(), &[&sample[..], &["--ema-sigma-rel", width, "-o", output]].concat());
    }
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert!(read("a.safetensors") != read("b.safetensors"));
}

/// The loss overflows, and the weights do not follow it.
#[test]
fn a_loss_that_is_no_number_names_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let args =
        [&train("run")[..], &["lr=1000", "optimizer.eps=0", "parametrization.prediction=x0"]];
    let output = tweedie(folder.path()).args(args.concat()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = said.lines().find(|l| l.starts_with("tweedie: ")).unwrap();
    assert!(line.contains("the last good checkpoint is run/checkpoints/step-0"), "{line}");
}

#[test]
fn ctrl_c_saves_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut args = train("run");
    args.retain(|a| !a.starts_with("checkpoint_every"));
    args.push("checkpoint_every=1000");
    args[2] = "steps=1000000";
    let mut child = start(folder.path(), &args);
    let limit = Instant::now() + Duration::from_secs(60);
    while !run.join("metrics.jsonl").exists() {
        assert!(Instant::now() < limit, "no metrics after a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    stdout(folder.path(), &["sample", "run", "-n", "4", "--steps", "2", "-o", "a.png"]);
}

/// A preview of hours and a validation of most of a minute, begun after the first step.
#[test]
fn a_signal_is_heard_within_a_preview_and_within_a_validation() {
    let endless: [&[&str]; 2] = [
        &["preview_every=1", "sample.steps=9000000", "sample.grid.type=karras"],
        &["validate_every=1", "validation.samples=150", "validation.levels=1000", "batch_size=1"],
    ];
    for endless in endless {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let mut args: Vec<&str> = train("run");
        args.retain(|a| !endless.iter().any(|e| a.split('=').next() == e.split('=').next()));
        args.extend(endless);
        let mut child = start(folder.path(), &args);
        let limit = Instant::now() + Duration::from_secs(60);
        let metrics = || std::fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
        while !metrics().contains("\"loss\"") {
            assert!(Instant::now() < limit, "no step after a minute");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(200));
        assert!(child.try_wait().unwrap().is_none(), "{endless:?} is over already");
        Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        let limit = Instant::now() + Duration::from_secs(20);
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < limit, "{endless:?} was not broken off");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(child.wait().unwrap().code(), Some(130), "{endless:?}");
        assert!(run.join("checkpoints/step-000001").is_dir(), "{endless:?}");
    }
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut first = start(folder.path(), &train("run"));
    wait_for_a_checkpoint(&run, Duration::ZERO);
    let second = tweedie(folder.path()).args(["train", "--resume", "run"]).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("run") && said.contains("process"), "{said}");
}
