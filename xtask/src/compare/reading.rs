//! One line of either side's `--json`.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A number that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// The case it belongs to.
    pub(crate) case: String,
    /// Who was measured.
    #[serde(default)]
    pub(crate) peer: String,
    /// The work, in the words of benches/peers/README.md.
    pub(crate) what: String,
    /// `it/s`, `s`, `ms` or `us/step`.
    pub(crate) unit: String,
    /// The median of the readings.
    pub(crate) median: f64,
    /// How many readings.
    pub(crate) n: u64,
    /// The quartiles of the readings; the peers' script gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) q1: Option<f64>,
    /// The upper one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) q3: Option<f64>,
    /// Threads.
    pub(crate) threads: u32,
    /// Highest resident size, where it is known.
    pub(crate) peak_rss_mb: Option<f64>,
}

impl Reading {
    /// How many times better this reading is than another of the same work.
    pub(crate) fn times_better_than(&self, other: &Self) -> f64 {
        if is_rate(&self.unit) { self.median / other.median } else { other.median / self.median }
    }
}

/// Whether more of the unit is better.
pub(crate) fn is_rate(unit: &str) -> bool {
    unit.ends_with("/s")
}

/// Reads one object a line; lines that begin otherwise are left out.
///
/// # Errors
/// When an object is no reading.
pub(crate) fn parse(text: &str, peer: Option<&str>) -> Result<Vec<Reading>> {
    let objects = text.lines().filter(|line| line.trim_start().starts_with('{'));
    objects
        .filter(|line| !is_failure(line))
        .map(|line| {
            let mut reading: Reading =
                serde_json::from_str(line).with_context(|| format!("in the line {line}"))?;
            if let Some(peer) = peer {
                peer.clone_into(&mut reading.peer);
            }
            Ok(reading)
        })
        .collect()
}

/// The peers' script tells of a reading that failed in an object of its own.
fn is_failure(line: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(line)
        .is_ok_and(|value| value.get("error").is_some() && value.get("median").is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"case": "toy-train", "peer": "smalldiffusion", "what": "train readme",
        "unit": "it/s", "median": 465.0, "n": 5, "min": 1, "max": 2, "threads": 2,
        "peak_rss_mb": null, "other_cores": 0.1}"#;

    #[test]
    fn lines_of_both_sides_are_read() {
        let line = LINE.replace('\n', "");
        let text = format!("a warning\n{line}\n{{\"case\": \"x\", \"error\": \"failed\"}}\n");
        let readings = parse(&text, None).unwrap();
        assert_eq!(readings.len(), 1);
        assert_eq!(readings[0].peer, "smalldiffusion");
        assert_eq!(readings[0].median, 465.0);
        let ours =
            parse(&line.replace("\"peer\": \"smalldiffusion\",", ""), Some("tweedie")).unwrap();
        assert_eq!(ours[0].peer, "tweedie");
        assert!(parse("{\"case\": 3}", None).is_err());
    }

    #[test]
    fn rates_and_times_compare_the_right_way_round() {
        let reading = |unit: &str, median| Reading {
            case: String::new(),
            peer: String::new(),
            what: String::new(),
            unit: unit.to_owned(),
            median,
            n: 1,
            q1: None,
            q3: None,
            threads: 1,
            peak_rss_mb: None,
        };
        let better = |unit, a, b| reading(unit, a).times_better_than(&reading(unit, b));
        assert_eq!(better("it/s", 900.0, 300.0), 3.0);
        assert_eq!(better("us/step", 9.0, 90.0), 10.0);
        assert_eq!(better("s", 2.0, 1.0), 0.5);
    }
}
