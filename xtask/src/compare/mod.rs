//! `cargo xtask compare`: the same work here and in the Python peers, in one
//! sitting, as ratios.

pub(crate) mod reading;
pub(crate) mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{demo, setup, workspace};
use reading::Reading;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Cases, such as toy-train (`tweedie bench --list` names them)
    #[arg(required = true, value_name = "CASE")]
    cases: Vec<String>,
    /// A Python with the peers (made by benches/peers/setup.sh)
    #[arg(long, value_name = "PATH", env = "TWEEDIE_PEERS_PYTHON")]
    python: Option<PathBuf>,
    /// Threads of both sides
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: u32,
    /// Only readings whose name holds this
    #[arg(long, value_name = "SUBSTRING")]
    what: Option<String>,
    /// Keep every reading of both sides in this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
}

/// Runs each case on both sides, one after the other, and prints the ratios.
///
/// # Errors
/// When there is no Python with the peers, or a side fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let python = peers(options.python.as_deref())?;
    setup::ensure()?;
    let tweedie = demo::build()?;
    let script = workspace::root().join("benches/peers/bench.py");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for case in &options.cases {
        eprintln!("{case}: tweedie");
        let mut command = Command::new(&tweedie);
        workspace::find_libtorch(&mut command);
        ours.extend(readings(command.arg("bench"), case, options, false)?);
        eprintln!("{case}: peers");
        let mut command = Command::new(&python);
        theirs.extend(readings(command.args(["-W", "ignore"]).arg(&script), case, options, true)?);
    }
    if let Some(path) = &options.keep {
        keep(path, ours.iter().chain(&theirs))?;
    }
    println!("\n{}", table::ratios(&ours, &theirs));
    Ok(())
}

/// The Python to ask, or how to make one.
fn peers(python: Option<&Path>) -> Result<PathBuf> {
    let how = "make the environment with `bash benches/peers/setup.sh .venv-peers` (5 GB), then \
               give --python .venv-peers/bin/python";
    let default = workspace::root().join(".venv-peers/bin/python");
    let python = match python {
        // Not made canonical: a virtual environment is known by its link.
        Some(python) => std::path::absolute(python)?,
        None if default.exists() => default,
        None => bail!("there is no Python with the peers: {how}"),
    };
    let output = Command::new(&python)
        .args([
            "-c",
            "import importlib.util as u, sys; sys.exit(u.find_spec('smalldiffusion') is None)",
        ])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(python),
        Ok(_) => bail!("{} has no smalldiffusion: {how}", python.display()),
        Err(error) => bail!("{} does not start ({error}): {how}", python.display()),
    }
}

fn readings(
    command: &mut Command,
    case: &str,
    options: &Options,
    python: bool,
) -> Result<Vec<Reading>> {
    command.current_dir(workspace::root());
    command.args([case, "--json", "--threads"]).arg(options.threads.to_string());
    if let Some(what) = &options.what {
        command.args(["--what", what]);
    }
    let shown = workspace::show(command);
    // What either side complains of while it works is for the person to see.
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("could not start `{shown}`"))?;
    let peer = if python { None } else { Some("tweedie") };
    let readings = reading::parse(&String::from_utf8_lossy(&output.stdout), peer)
        .with_context(|| format!("`{shown}` printed something else than readings"))?;
    match (output.status.success(), readings.is_empty()) {
        (true, _) => {}
        (false, true) => bail!("`{shown}` failed ({})", output.status),
        // One reading of many that fails does not spoil the sitting.
        (false, false) => eprintln!("`{shown}` failed in part ({})", output.status),
    }
    Ok(readings)
}

fn keep<'a>(path: &Path, readings: impl Iterator<Item = &'a Reading>) -> Result<()> {
    let lines = readings.map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    std::fs::write(path, lines.join("\n") + "\n")
        .with_context(|| format!("could not write {}", path.display()))
}
