//! `cargo xtask ci`: everything that must hold before a change lands.

use std::time::Instant;

use anyhow::Result;

use crate::progress::seconds;
use crate::{setup, suite, tidy, workspace};

/// What to leave out.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Leave the tests out (they have run already)
    #[arg(long)]
    no_test: bool,
}

/// One thing to be held, by name.
type Stage = (&'static str, fn() -> Result<()>);

/// Runs the stages in turn, quickest first, and stops at the first that fails.
///
/// # Errors
/// When a stage fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut stages: Vec<Stage> = vec![("format", format), ("tidy", || tidy::run(None))];
    if !options.no_test {
        stages.push(("tests", || suite::test(&[])));
    }
    stages.extend::<[Stage; 5]>([
        ("lints", lints),
        ("hub", hub),
        ("docs", docs),
        ("schedules alone", schedules_alone),
        ("examples", examples),
    ]);
    let mut times = Vec::new();
    for (name, stage) in stages {
        eprintln!("\n== {name}");
        let begun = Instant::now();
        stage()?;
        times.push(format!("{name} {}", seconds(begun.elapsed())));
    }
    println!("\nall good: {}", times.join(", "));
    Ok(())
}

fn format() -> Result<()> {
    workspace::run(workspace::cargo().args(["fmt", "--all", "--", "--check"]))
}

fn lints() -> Result<()> {
    setup::ensure()?;
    let args = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    workspace::run(workspace::cargo().args(args))
}

/// The one feature that is off by default, against a server on this machine.
fn hub() -> Result<()> {
    setup::ensure()?;
    let feature = ["--package", "tweedie-sd", "--features", "hf-hub"];
    let lints = [&["clippy"][..], &feature, &["--all-targets", "--", "-D", "warnings"]].concat();
    workspace::run(workspace::cargo().args(lints))?;
    let tests = [&["test"][..], &feature, &["--test", "it", "hub::"]].concat();
    workspace::run(workspace::cargo().args(tests).env("OMP_NUM_THREADS", "1"))
}

/// What must hold of docs is denied in `[workspace.lints]`: a `RUSTDOCFLAGS`
/// would replace the flags by which doc tests find libtorch.
fn docs() -> Result<()> {
    setup::ensure()?;
    workspace::run(workspace::cargo().args(["doc", "--workspace", "--no-deps", "--quiet"]))
}

/// The crate of schedules promises to need no libtorch.
fn schedules_alone() -> Result<()> {
    let tree = workspace::capture(workspace::cargo().args([
        "tree",
        "--package",
        "tweedie-schedules",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
    ]))?;
    for name in ["tch ", "torch-sys "] {
        anyhow::ensure!(
            !tree.lines().any(|line| line.starts_with(name)),
            "tweedie-schedules must build without libtorch, but `cargo tree` lists {name}"
        );
    }
    Ok(())
}

/// Runs the examples that need no data from outside, with the least of settings.
fn examples() -> Result<()> {
    setup::ensure()?;
    for name in example_names()? {
        if name == "fashion_mnist" && !workspace::root().join("data/fashion-mnist").exists() {
            eprintln!("the example {name} is left out: it needs cargo xtask data fashion-mnist");
            continue;
        }
        let mut command = workspace::cargo();
        command.args(["run", "--quiet", "--package", "tweedie-examples", "--example", &name]);
        // It trains six times, networks of full size.
        let steps = if name == "checkpoints" { "2" } else { "20" };
        workspace::run(command.env("TWEEDIE_EXAMPLE_STEPS", steps))?;
    }
    Ok(())
}

fn example_names() -> Result<Vec<String>> {
    let text = workspace::capture(workspace::cargo().args([
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
    ]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text)?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    Ok(packages
        .iter()
        .filter(|package| package["name"] == "tweedie-examples")
        .flat_map(names)
        .collect())
}

/// Names of the targets of kind `example` of one package.
fn names(package: &serde_json::Value) -> Vec<String> {
    let targets = package["targets"].as_array().cloned().unwrap_or_default();
    targets
        .iter()
        .filter(|target| target["kind"][0] == "example")
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_told_from_other_targets() {
        let package = serde_json::json!({"targets": [
            {"kind": ["lib"], "name": "tweedie_examples"},
            {"kind": ["example"], "name": "toy"},
            {"kind": ["test"], "name": "it"},
        ]});
        assert_eq!(names(&package), ["toy"]);
        assert!(names(&serde_json::json!({})).is_empty());
    }
}
