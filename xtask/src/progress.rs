//! Progress: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// One piece of work of a known size in bytes.
pub(crate) struct Progress {
    bar: ProgressBar,
    what: String,
    begun: Instant,
    plain: bool,
}

impl Progress {
    /// Announces the work.
    pub(crate) fn bytes(what: impl Into<String>, total: u64) -> Self {
        let what = what.into();
        let plain = !std::io::stderr().is_terminal();
        let bar = if plain { ProgressBar::hidden() } else { ProgressBar::new(total) };
        let style = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_message(what.clone());
        if plain {
            eprintln!("{what} ({})", megabytes(total));
        }
        Self { bar, what, begun: Instant::now(), plain }
    }

    /// Says how many bytes are done so far.
    pub(crate) fn at(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    /// Adds to the bytes done so far.
    pub(crate) fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Ends the work.
    pub(crate) fn done(self) {
        self.bar.finish_and_clear();
        if !self.plain {
            eprintln!("{}: {}", self.what, seconds(self.begun.elapsed()));
        }
    }
}

/// A size for a person to read.
pub(crate) fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{} MB", bytes.div_ceil(1_000_000)),
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes % 1_000_000_000 / 100_000_000),
    }
}

/// A time for a person to read.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        assert_eq!(megabytes(1), "1 kB");
        assert_eq!(megabytes(526_605_292), "527 MB");
        assert_eq!(megabytes(2_149_000_000), "2.1 GB");
    }
}
