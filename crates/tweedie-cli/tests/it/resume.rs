//! Runs that end before their time.

use crate::support::{SMALL, stdout, tweedie};
use std::path::Path;
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

fn train(run: &str) -> Vec<&str> {
    [&["train", "swissroll", STEPS, "--run", run], &SMALL[..]].concat()
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

fn weights(run: &Path) -> [Vec<u8>; 2] {
    ["model", "ema"].map(|name| {
        std::fs::read(run.join(format!("checkpoints/step-003000/{name}.safetensors"))).unwrap()
    })
}

#[test]
fn killed_and_resumed_equals_never_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    stdout(folder.path(), &train("whole"));
    let mut child = start(folder.path(), &train("killed"));
    for pause in [13, 57] {
        wait_for_a_checkpoint(&path("killed"), Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
        child = start(folder.path(), &["train", "--resume", "killed"]);
    }
    assert!(child.wait().unwrap().success());
    assert!(weights(&path("killed")) == weights(&path("whole")), "the weights differ");
    let steps = |run: &str| {
        let metrics = std::fs::read_to_string(path(run).join("metrics.jsonl")).unwrap();
        let step = |l: &str| serde_json::from_str::<serde_json::Value>(l).unwrap()["step"].clone();
        metrics.lines().map(step).collect::<Vec<_>>()
    };
    assert_eq!(steps("killed"), steps("whole"));
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
