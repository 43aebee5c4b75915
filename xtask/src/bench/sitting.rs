//! The file of one sitting.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::compare::reading::{Reading, is_rate};

/// Everything that was timed at one time on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sitting {
    /// When, in universal time.
    pub(crate) date: String,
    /// The processor's own name, where the system tells.
    pub(crate) processor: String,
    /// Threads.
    pub(crate) threads: u32,
    /// What was measured.
    pub(crate) timings: Vec<Timing>,
}

/// A median with the interval that it would lie in 95 times of 100.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timing {
    /// The case and the work, or criterion's name of the benchmark.
    pub(crate) name: String,
    /// `ns`, `s`, `us/step`, or a rate such as `it/s`.
    pub(crate) unit: String,
    /// The median.
    pub(crate) median: f64,
    /// Where it may lie, from here
    pub(crate) low: f64,
    /// to here.
    pub(crate) high: f64,
}

impl Timing {
    /// A reading's median with the notches of its box plot, `1.57·IQR/√n` (McGill, Tukey & Larsen
    /// 1978): where two pairs of notches do not overlap, the medians differ. A peer's readings have
    /// no quartiles, and so no interval.
    pub(crate) fn of_reading(reading: &Reading) -> Self {
        let Reading { case, what, unit, median, n, q1, q3, .. } = reading;
        let spread = q1.zip(*q3).map_or(0.0, |(q1, q3)| q3 - q1);
        let notch = 1.57 * spread / (*n as f64).sqrt();
        Timing {
            name: format!("{case}: {what}"),
            unit: unit.clone(),
            median: *median,
            low: median - notch,
            high: median + notch,
        }
    }

    /// How many times as long `self` takes as `before`.
    pub(crate) fn times_as_long_as(&self, before: &Self) -> f64 {
        let ratio = self.median / before.median;
        if is_rate(&self.unit) { 1.0 / ratio } else { ratio }
    }

    /// Whether the two intervals have nothing in common.
    pub(crate) fn differs_from(&self, before: &Self) -> bool {
        self.low > before.high || self.high < before.low
    }
}

impl Sitting {
    /// Reads a file that [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let shown = || path.display().to_string();
        let text = fs::read(path).with_context(shown)?;
        let sitting: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no file of `cargo xtask bench`", shown()))?;
        let sound = |t: &Timing| t.median.is_finite() && t.median > 0.0;
        if let Some(odd) = sitting.timings.iter().find(|t| !sound(t)) {
            anyhow::bail!("{}: the median of {:?} is {}", shown(), odd.name, odd.median);
        }
        Ok(sitting)
    }

    /// Writes the file and the folders around it.
    ///
    /// # Errors
    /// When nothing was measured, or the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        ensure!(!self.timings.is_empty(), "nothing was measured");
        let shown = || path.display().to_string();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(shown)?;
        }
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(path, text).with_context(shown)
    }
}

/// The processor's own name, or `""`.
pub(crate) fn processor() -> String {
    name_in(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
}

fn name_in(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or("", |rest| rest.trim_start_matches([' ', '\t', ':']).trim()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::reading;

    #[test]
    fn a_reading_gets_the_notches_of_its_quartiles() {
        let line = r#"{"case":"toy-train","what":"step","unit":"it/s","median":100.0,"n":4,
            "min":80,"max":120,"q1":90.0,"q3":110.0,"threads":2,"peak_rss_mb":null}"#;
        let readings = reading::parse(&line.replace('\n', ""), Some("tweedie")).unwrap();
        let timing = Timing::of_reading(&readings[0]);
        assert_eq!(timing.name, "toy-train: step");
        assert!((timing.low - 84.3).abs() < 1e-9 && (timing.high - 115.7).abs() < 1e-9);
    }

    #[test]
    fn a_file_comes_back_and_another_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/a.json");
        let timing =
            Timing { name: "a".into(), unit: "ns".into(), median: 3.0, low: 2.0, high: 4.0 };
        let mut sitting = Sitting {
            date: "2026-01-01T00:00Z".into(),
            processor: "a".into(),
            threads: 2,
            timings: vec![timing],
        };
        sitting.write(&path).unwrap();
        assert_eq!(Sitting::read(&path).unwrap(), sitting);
        fs::write(&path, "{}").unwrap();
        let said = Sitting::read(&path).unwrap_err().to_string();
        assert!(said.contains("a.json is no file of"), "{said}");
        sitting.timings[0].median = 0.0;
        sitting.write(&path).unwrap();
        assert!(Sitting::read(&path).unwrap_err().to_string().contains("\"a\" is 0"));
        sitting.timings.clear();
        assert!(sitting.write(&path).is_err());
    }

    #[test]
    fn a_processor_is_named() {
        assert_eq!(name_in("vendor: x\nmodel name\t: Some CPU @ 2 GHz\n"), "Some CPU @ 2 GHz");
        assert_eq!(name_in(""), "");
    }
}
