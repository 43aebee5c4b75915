//! Whole processes, from their start to their end.

use super::Settings;
use super::measure::{Values, seconds};
use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use std::process::{Command, Stdio};

pub(super) const SCHEDULE: &str = "schedule printed";
pub(super) const PICTURE: &str = "picture from a trained toy run";

pub(super) fn schedule(settings: Settings) -> Result<Values> {
    times(settings, &["schedule", "log-linear", "--n", "200", "--json"])
}

pub(super) fn picture(settings: Settings) -> Result<Values> {
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (run, picture) = (path("run"), path("samples.png"));
    let threads = format!("threads={}", settings.threads);
    tweedie(&["train", "swissroll", "steps=200", "preview_every=0", &threads, "--run", &run])?;
    times(settings, &["sample", &run, "-n", "1000", "--steps", "20", "-o", &picture])
}

fn times(settings: Settings, args: &[&str]) -> Result<Values> {
    let values = seconds(1, settings.n(5), || tweedie(args))?;
    // Of the largest process waited for: kilobytes on Linux.
    let kilobytes = getrusage(UsageWho::RUSAGE_CHILDREN).ok().map(|u| u.max_rss() as f64);
    let peak_rss_mb = kilobytes.map(|kb| (kb / 102.4).round() / 10.0);
    Ok(Values { values, peak_rss_mb })
}

fn tweedie(args: &[&str]) -> Result<()> {
    let program = std::env::current_exe().context("where this program is")?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().context("this program cannot be started again")?;
    ensure!(status.success(), "tweedie {}: {status}", args.join(" "));
    Ok(())
}
