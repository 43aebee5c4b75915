//! Median, peak memory, and one JSON object a reading.

use serde::Serialize;
use std::time::Instant;

/// One reading, under the names that the peers' `bench.py` uses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) case: &'static str,
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) median: f64,
    pub(crate) n: usize,
    pub(crate) min: f64,
    pub(crate) q1: f64,
    pub(crate) q3: f64,
    pub(crate) max: f64,
    pub(crate) threads: usize,
    pub(crate) peak_rss_mb: Option<f64>,
}

/// The values of a reading.
pub(crate) struct Values {
    /// At least one.
    pub(crate) values: Vec<f64>,
    /// The memory of other processes than this one, where they did the work.
    pub(crate) peak_rss_mb: Option<f64>,
}

impl From<Vec<f64>> for Values {
    fn from(values: Vec<f64>) -> Self {
        Values { values, peak_rss_mb: None }
    }
}

/// Seconds of each of `n` calls, after `warmup` calls that do not count.
pub(crate) fn seconds<T, E>(
    warmup: usize,
    n: usize,
    mut call: impl FnMut() -> Result<T, E>,
) -> Result<Vec<f64>, E> {
    let mut values = Vec::with_capacity(n);
    for i in 0..warmup + n {
        let start = Instant::now();
        let result = call()?;
        let elapsed = start.elapsed().as_secs_f64();
        drop(result);
        if i >= warmup {
            values.push(elapsed);
        }
    }
    Ok(values)
}

/// The value below which a share `q` of all lie, between the two nearest; 0 of none.
pub(crate) fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = q * sorted.len().saturating_sub(1) as f64;
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or_default();
    let (below, above) = (at(place.floor()), at(place.ceil()));
    below + (above - below) * place.fract()
}

/// Five significant digits.
pub(crate) fn rounded(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

/// Forgets the peak of this process's resident size, where the system can.
pub(crate) fn reset_peak() {
    // Refused in some containers: then the peak is that of the whole process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The highest resident size of this process since [`reset_peak`], where the system tells.
pub(crate) fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kb: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kb / 102.4).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(quantile(&[4.0, 1.0, 2.0, 3.0], 0.5), 2.5);
        assert_eq!(quantile(&[5.0, 1.0, 2.0, 3.0, 4.0], 0.25), 2.0);
        assert_eq!((quantile(&[7.0], 0.75), quantile(&[], 0.5)), (7.0, 0.0));
        assert_eq!(rounded(0.012_345_678), 0.012346);
        assert!(peak_rss_mb().is_none_or(|mb| mb > 1.0));
    }

    #[test]
    fn warm_up_does_not_count() {
        let mut calls = 0;
        let values = seconds(2, 3, || {
            calls += 1;
            Ok::<_, ()>(())
        });
        assert_eq!((values.unwrap().len(), calls), (3, 5));
    }
}
