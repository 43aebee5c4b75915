//! `cargo xtask bench`: everything that is timed, in one dated file; and what
//! became slower between two of them.

mod compare;
mod criterion;
mod sitting;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result};
use time::OffsetDateTime;

use crate::compare::reading;
use crate::{demo, setup, workspace};
use sitting::{Sitting, Timing};

/// What to time, or what to compare.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Cases of `tweedie bench`, or none of them with "none"
    #[arg(value_name = "CASE", default_value = "all")]
    cases: Vec<String>,
    /// Threads
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: u32,
    /// Only criterion's benchmarks whose name matches; "none" for none of them
    #[arg(long, value_name = "REGEX")]
    filter: Option<String>,
    /// Where the readings go [default: target/bench/DATE.json]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Say what is slower in the second file than in the first; nothing is timed
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"], exclusive = true)]
    compare: Option<Vec<PathBuf>>,
}

/// Times, or compares.
///
/// # Errors
/// When something cannot be built, run, read or written; not when a reading of many fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some([before, after]) = options.compare.as_deref() {
        let text = compare::report(&Sitting::read(before)?, &Sitting::read(after)?);
        print!("{text}");
        return Ok(());
    }
    setup::ensure()?;
    let now = OffsetDateTime::now_utc();
    let mut timings = cases(options)?;
    timings.extend(criteria(options)?);
    let sitting = Sitting {
        date: date(now),
        processor: sitting::processor(),
        threads: options.threads,
        timings,
    };
    let name = format!("{}.json", date(now).replace(':', ""));
    let output = options.output.clone();
    let output = output.unwrap_or_else(|| workspace::target().join("bench").join(name));
    sitting.write(&workspace::root().join(&output))?;
    println!("{} readings in {}", sitting.timings.len(), output.display());
    Ok(())
}

/// `2026-03-01T14:05Z`
fn date(at: OffsetDateTime) -> String {
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    format!("{year}-{month:02}-{day:02}T{:02}:{:02}Z", at.hour(), at.minute())
}

/// The readings of `tweedie bench`.
fn cases(options: &Options) -> Result<Vec<Timing>> {
    let mut timings = Vec::new();
    let wanted: Vec<_> = options.cases.iter().filter(|case| *case != "none").collect();
    if wanted.is_empty() {
        return Ok(timings);
    }
    let program = demo::build()?;
    for case in wanted {
        let mut command = Command::new(&program);
        workspace::find_libtorch(&mut command);
        command.current_dir(workspace::root()).args(["bench", case, "--json", "--threads"]);
        command.arg(options.threads.to_string()).stdin(Stdio::null()).stderr(Stdio::inherit());
        let shown = workspace::show(&command);
        eprintln!("$ {shown}");
        let output = command.output().with_context(|| format!("could not start `{shown}`"))?;
        if !output.status.success() {
            eprintln!("`{shown}` failed, at least in part ({})", output.status);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        timings.extend(reading::parse(&text, Some("tweedie"))?.iter().map(Timing::of_reading));
    }
    Ok(timings)
}

/// Criterion's estimates.
fn criteria(options: &Options) -> Result<Vec<Timing>> {
    let filter = options.filter.as_deref();
    if filter == Some("none") {
        return Ok(Vec::new());
    }
    let begun = SystemTime::now();
    let mut command = workspace::cargo();
    command.args(["bench", "--package", "tweedie-benches", "--", "--noplot"]);
    command.env("OMP_NUM_THREADS", options.threads.to_string());
    workspace::run(command.args(filter))?;
    criterion::estimates(&workspace::root().join(workspace::target()).join("criterion"), begun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_sort_as_text() {
        let at = |seconds| date(OffsetDateTime::from_unix_timestamp(seconds).unwrap());
        assert_eq!(at(1_700_000_000), "2023-11-14T22:13Z");
        assert!(at(1_700_000_000) < at(1_701_000_000));
    }
}
