//! Ratios as a Markdown table that also reads well as plain text.

use super::reading::Reading;

/// One row for each of our readings and each peer with the same work.
pub(crate) fn ratios(ours: &[Reading], theirs: &[Reading]) -> String {
    let header = ["case", "what", "tweedie", "peer", "peer's reading", "times better", "memory"];
    let mut rows = vec![header.map(str::to_owned)];
    for our in ours {
        let same = |their: &&Reading| {
            (&our.case, &our.what, &our.unit) == (&their.case, &their.what, &their.unit)
        };
        let mut peers = theirs.iter().filter(same).peekable();
        if peers.peek().is_none() {
            rows.push(row(our, None));
        }
        rows.extend(peers.map(|their| row(our, Some(their))));
    }
    for their in theirs {
        let done = |our: &Reading| (&our.case, &our.what) == (&their.case, &their.what);
        if !ours.iter().any(done) {
            rows.push(unanswered(their));
        }
    }
    lay_out(&rows)
}

fn row(our: &Reading, their: Option<&Reading>) -> [String; 7] {
    let dash = || "—".to_owned();
    [
        our.case.clone(),
        our.what.clone(),
        measured(our.median, &our.unit),
        their.map_or_else(dash, |their| their.peer.clone()),
        their.map_or_else(dash, |their| measured(their.median, &their.unit)),
        their.map_or_else(dash, |their| format!("{:.2}", our.times_better_than(their))),
        memory(our.peak_rss_mb, their.and_then(|their| their.peak_rss_mb)),
    ]
}

/// A peer's reading for which we have none.
fn unanswered(their: &Reading) -> [String; 7] {
    let dash = || "—".to_owned();
    let (case, what, peer) = (their.case.clone(), their.what.clone(), their.peer.clone());
    let reading = measured(their.median, &their.unit);
    [case, what, dash(), peer, reading, dash(), memory(None, their.peak_rss_mb)]
}

/// A number with its unit.
pub(crate) fn measured(value: f64, unit: &str) -> String {
    format!("{} {unit}", digits(value))
}

/// Three significant digits are more than such a reading holds.
fn digits(value: f64) -> String {
    let whole = value.abs();
    match whole {
        _ if !whole.is_finite() => value.to_string(),
        _ if whole >= 100.0 => format!("{value:.0}"),
        _ if whole >= 10.0 => format!("{value:.1}"),
        _ if whole >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn memory(ours: Option<f64>, theirs: Option<f64>) -> String {
    let text = |size: Option<f64>| size.map_or_else(|| "—".to_owned(), |mb| format!("{mb:.0}"));
    format!("{} / {} MB", text(ours), text(theirs))
}

/// The rows, of which the first is the heading, in columns.
pub(crate) fn lay_out<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(&format!("| {cell:<width$} "));
        }
        text.push_str("|\n");
        if number == 0 {
            for width in widths {
                text.push_str(&format!("|{}", "-".repeat(width + 2)));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(peer: &str, what: &str, unit: &str, median: f64) -> Reading {
        Reading {
            case: "toy-train".into(),
            peer: peer.into(),
            what: what.into(),
            unit: unit.into(),
            median,
            n: 5,
            q1: None,
            q3: None,
            threads: 2,
            peak_rss_mb: Some(150.0),
        }
    }

    #[test]
    fn each_of_our_readings_meets_each_peer() {
        let ours = [reading("tweedie", "a", "it/s", 1500.0), reading("tweedie", "b", "s", 1.0)];
        let theirs = [
            reading("smalldiffusion", "a", "it/s", 500.0),
            reading("eager", "a", "it/s", 750.0),
            reading("eager", "c", "s", 2.0),
        ];
        let text = ratios(&ours, &theirs);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 6, "{text}");
        assert!(lines[2].contains("1500 it/s") && lines[2].contains("| 3.00 "), "{text}");
        assert!(lines[3].contains("eager") && lines[3].contains("| 2.00 "), "{text}");
        assert!(lines[4].contains("| b ") && lines[4].contains('—'), "{text}");
        assert!(lines[5].contains("| c ") && lines[5].contains("2.00 s"), "{text}");
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width), "{text}");
    }
}
