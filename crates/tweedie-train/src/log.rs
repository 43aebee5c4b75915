//! `metrics.jsonl`, read by its names: lines of other kinds, and lines that are none, are no harm.

use crate::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::path::Path;

/// The lines of a run's log that could be read, by their steps.
#[derive(Clone, Debug, Default)]
pub struct Log {
    records: Vec<Map<String, Value>>,
    /// Lines that are not JSON objects with a step.
    pub unread: usize,
}

impl Log {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Ok(Log::parse(&std::fs::read(path).map_err(Error::file(path))?))
    }

    fn parse(bytes: &[u8]) -> Self {
        let mut log = Log::default();
        for line in bytes.split(|&b| b == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            match serde_json::from_slice(line) {
                Ok(Value::Object(record)) if number(&record, "step").is_some() => {
                    log.records.push(record);
                }
                _ => log.unread += 1,
            }
        }
        let step = |record: &Map<String, Value>| number(record, "step").unwrap_or(0.0);
        log.records.sort_by(|a, b| step(a).total_cmp(&step(b)));
        log
    }

    /// The lines that are a `T`.
    pub(crate) fn typed<T: DeserializeOwned>(&self) -> Vec<T> {
        let typed =
            |record: &Map<String, Value>| serde_json::from_value(record.clone().into()).ok();
        self.records.iter().filter_map(typed).collect()
    }

    /// The lines of training steps: those that name no other kind.
    pub fn steps(&self) -> impl Iterator<Item = &Map<String, Value>> {
        self.of_kind("train").chain(self.records.iter().filter(|r| !r.contains_key("kind")))
    }

    /// The lines of a kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Map<String, Value>> {
        self.records.iter().filter(move |r| r.get("kind").and_then(Value::as_str) == Some(kind))
    }

    /// (step, value) of all training steps that have the key; no value where it is no number,
    /// as a loss that is not finite.
    pub fn series(&self, key: &str) -> Vec<(f64, Option<f64>)> {
        let point = |r: &Map<String, Value>| {
            r.contains_key(key).then(|| Some((number(r, "step")?, number(r, key))))?
        };
        self.steps().filter_map(point).collect()
    }
}

/// A finite number of a record.
pub fn number(record: &Map<String, Value>, key: &str) -> Option<f64> {
    record.get(key)?.as_f64().filter(|v| v.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_no_sense_is_passed_over() {
        let text = b"{\"step\": 2, \"loss\": 0.5}\n\n{\"step\": 1, \"loss\": null}\nNaN\n[1]\n{\"step\": 3, \"lo\n\xff\xfe\n\
            {\"kind\": \"other\", \"step\": 2, \"loss\": 9}\n{\"step\": 4, \"lr\": 1e-3}\n{\"loss\": 1}\n";
        let log = Log::parse(text);
        assert_eq!(log.unread, 5);
        assert_eq!(log.series("loss"), [(1.0, None), (2.0, Some(0.5))]);
        assert_eq!(log.series("lr"), [(4.0, Some(1e-3))]);
        assert_eq!(log.of_kind("other").count(), 1);
        assert!(Log::parse(b"").series("loss").is_empty());
    }
}
