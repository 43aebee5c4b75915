//! A small trained run that the tests share, and ways to call the program.

use assert_cmd::Command;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Settings that make the Swiss roll's training a matter of a second.
pub(crate) const SMALL: [&str; 6] = [
    "data.points=200",
    "model.hidden_dims=[16,16]",
    "batch_size=64",
    "checkpoint_every=10",
    "preview_every=0",
    "threads=1",
];

/// The program, in an empty folder of its own, with no settings from outside.
pub(crate) fn tweedie(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("tweedie").unwrap();
    command.current_dir(folder).env("OMP_NUM_THREADS", "1").env_remove("RUST_LOG");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TWEEDIE_")) {
        command.env_remove(name);
    }
    command
}

/// Runs it to a success; returns stdout.
pub(crate) fn stdout(folder: &Path, args: &[&str]) -> String {
    let Output { status, stdout, stderr } = tweedie(folder).args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    assert!(status.success(), "tweedie {args:?}: {status}\n{stderr}");
    String::from_utf8(stdout).unwrap()
}

/// Runs it to a success; returns the last line of stdout as JSON.
pub(crate) fn json(folder: &Path, args: &[&str]) -> serde_json::Value {
    let stdout = stdout(folder, args);
    serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
}

/// A trained Swiss roll; tests that change it copy it first.
pub(crate) fn swissroll() -> &'static Path {
    static RUN: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    &RUN.get_or_init(|| trained("swissroll", &SMALL)).1
}

/// Trained digits, small.
pub(crate) fn digits() -> &'static Path {
    static RUN: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let small = ["model.hidden_dims=[32]", "batch_size=32", "preview_every=0", "threads=1"];
    &RUN.get_or_init(|| trained("digits", &small)).1
}

fn trained(recipe: &str, settings: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut args = vec!["train", recipe, "steps=20", "--run", run.to_str().unwrap()];
    args.extend(settings);
    stdout(folder.path(), &args);
    (folder, run)
}

/// A copy of a run that a test may break.
pub(crate) fn copy(run: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(run).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
