//! Criterion's estimates, from the files that it leaves.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::sitting::Timing;

#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    confidence_interval: Interval,
    point_estimate: f64,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// The medians of all benchmarks below `folder` that were measured since `begun`: others are of an
/// earlier sitting.
///
/// # Errors
/// When a file cannot be read, or holds something else.
pub(crate) fn estimates(folder: &Path, begun: SystemTime) -> Result<Vec<Timing>> {
    let mut timings = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let path = folder.join("new/estimates.json");
        if fs::metadata(&path).and_then(|m| m.modified()).is_ok_and(|at| at >= begun) {
            let Benchmark { full_id } = json(&folder.join("new/benchmark.json"))?;
            let Estimates { median } = json(&path)?;
            timings.push(Timing {
                name: full_id,
                unit: "ns".to_owned(),
                median: median.point_estimate,
                low: median.confidence_interval.lower_bound,
                high: median.confidence_interval.upper_bound,
            });
        }
        folders.extend(below(&folder)?);
    }
    timings.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(timings)
}

fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not criterion's", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_what_was_measured_now_counts() {
        let folder = tempfile::tempdir().unwrap();
        let begun = SystemTime::now() - Duration::from_secs(60);
        let bench = |name: &str, nanoseconds: f64, age: u64| {
            let new = folder.path().join(name).join("new");
            fs::create_dir_all(&new).unwrap();
            let id = format!(r#"{{"group_id":"g","full_id":"{name}"}}"#);
            fs::write(new.join("benchmark.json"), id).unwrap();
            let path = new.join("estimates.json");
            let text = format!(
                r#"{{"median":{{"confidence_interval":{{"confidence_level":0.95,"lower_bound":1.5,
                "upper_bound":2.5}},"point_estimate":{nanoseconds},"standard_error":0.1}}}}"#
            );
            fs::write(&path, text).unwrap();
            let at = begun + Duration::from_secs(30) - Duration::from_secs(age);
            fs::File::open(&path).unwrap().set_modified(at).unwrap();
        };
        bench("noise/seeded", 2.0, 0);
        bench("grids/karras", 3.0, 0);
        bench("old", 4.0, 100);
        let timings = estimates(folder.path(), begun).unwrap();
        let names: Vec<_> = timings.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["grids/karras", "noise/seeded"]);
        assert_eq!((timings[1].median, timings[1].low, timings[1].high), (2.0, 1.5, 2.5));
        assert_eq!(timings[1].unit, "ns");
        let file = folder.path().join("noise/seeded/new/estimates.json");
        fs::write(file, "{}").unwrap();
        assert!(estimates(folder.path(), begun).is_err());
    }
}
