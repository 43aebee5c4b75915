//! Results go to stdout, everything else to stderr.
//!
//! Progress is a bar on a terminal and plain lines elsewhere.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// An error that is the fault of the command line or of a recipe: exit code 2.
#[derive(Debug)]
pub(crate) struct Usage(String);

impl Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// A [`Usage`] error.
pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Usage(message.into()))
}

/// Turns any error into a [`Usage`] error with the same words.
pub(crate) fn as_usage(err: impl Into<anyhow::Error>) -> anyhow::Error {
    usage(chain(&err.into()))
}

/// The error with the file that it is about, which those of the contents do not name.
pub(crate) fn naming(path: &Path, err: impl Into<anyhow::Error>) -> anyhow::Error {
    let (shown, err) = (path.display().to_string(), err.into());
    if chain(&err).contains(&shown) { err } else { err.context(shown) }
}

/// One line: the error, then its causes.
pub(crate) fn chain(err: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in err.chain().map(ToString::to_string) {
        // A wrapper that repeats its source's words says nothing new.
        if line.ends_with(&cause) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&cause);
    }
    line
}

/// Prints an error to stderr.
pub(crate) fn complain(err: &anyhow::Error) {
    note(format_args!("tweedie: {}", chain(err)));
}

/// A line to stderr.
pub(crate) fn note(line: impl Display) {
    // Nobody can be told that stderr is closed.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A line to stdout.
pub(crate) fn print(line: impl Display) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}

/// One line of JSON to stdout.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    print(serde_json::to_string(value)?)
}

/// Whether the reader of stdout has gone, as `head` does: no fault of ours.
pub(crate) fn is_broken_pipe(err: &anyhow::Error) -> bool {
    err.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Sends `tracing` events to stderr: warnings, or what `RUST_LOG` names, or all with `--verbose`.
pub(crate) fn trace(verbose: bool) {
    use tracing_subscriber::{EnvFilter, filter::LevelFilter};
    let ansi = io::stderr().is_terminal();
    let shown = tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(ansi);
    if !verbose && std::env::var_os("RUST_LOG").is_none() {
        // For readers, not for logs; and no filter's grammar to set up at each start.
        shown.with_max_level(LevelFilter::WARN).without_time().with_target(false).init();
        return;
    }
    let fallback = EnvFilter::new(if verbose { "debug" } else { "warn" });
    let filter = EnvFilter::try_from_default_env().unwrap_or(fallback);
    shown.with_env_filter(filter).init();
}

/// Progress of long work.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    started: Instant,
    last_line: Option<Instant>,
}

/// Where nobody watches, a line at most this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

impl Progress {
    /// Starts at `done` of `total`.
    pub(crate) fn new(what: &'static str, done: u64, total: u64) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = "{prefix} [{bar:32}] {pos}/{len} {msg} {eta}";
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style.progress_chars("━╸ "));
            }
            bar.set_prefix(what);
            bar.set_position(done);
            bar
        });
        Progress { bar, what, started: Instant::now(), last_line: None }
    }

    /// Tells that `done` of `total` steps are done; `message` is made only when it is shown.
    pub(crate) fn update(&mut self, done: u64, total: u64, message: impl FnOnce() -> String) {
        let due = self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY);
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_message(message());
                bar.set_position(done);
            }
            None if due || done == total => {
                self.last_line = Some(Instant::now());
                note(format_args!("{} {done}/{total}  {}", self.what, message()));
            }
            None => {}
        }
    }

    /// Tells of the steps of a sampler.
    pub(crate) fn steps(&mut self) -> impl FnMut(usize, usize) -> Result<()> + '_ {
        |done, of| {
            self.update(done as u64, of as u64, String::new);
            Ok(())
        }
    }

    /// A line beside the bar.
    pub(crate) fn say(&self, line: impl Display) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note(line)),
            None => note(line),
        }
    }

    /// Ends it; returns the seconds since the start.
    pub(crate) fn finish(self) -> f64 {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.started.elapsed().as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn one_line_without_echoes() {
        let err = Err::<(), _>(io::Error::other("no space")).context("a.png").unwrap_err();
        assert_eq!(chain(&err), "a.png: no space");
        let echo = anyhow::anyhow!("no space").context("cannot write: no space");
        assert_eq!(chain(&echo), "cannot write: no space");
    }

    #[test]
    fn usage_survives_context() {
        let err = usage("steps is 0").context("recipe x.toml");
        assert!(err.is::<Usage>());
        assert_eq!(chain(&as_usage(anyhow::anyhow!("a").context("b"))), "b: a");
    }
}
