//! What became slower from one sitting to the next.

use super::sitting::{Sitting, Timing};
use crate::compare::table::{lay_out, measured};

/// Between two sittings a machine drifts by some per cent, which no interval within a sitting
/// knows of.
const DRIFT: f64 = 1.05;

/// Two readings of the same work.
struct Pair<'a> {
    before: &'a Timing,
    after: &'a Timing,
    /// How many times as long it takes now.
    ratio: f64,
}

impl Pair<'_> {
    /// Slower beyond the noise: the intervals lie apart, and further than sittings drift.
    fn is_slower(&self) -> bool {
        self.ratio > DRIFT && self.after.differs_from(self.before)
    }

    fn is_faster(&self) -> bool {
        self.ratio < 1.0 / DRIFT && self.after.differs_from(self.before)
    }
}

/// A table of what became slower and what faster, and a summary.
pub(crate) fn report(before: &Sitting, after: &Sitting) -> String {
    let mut pairs = pairs(before, after);
    pairs.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
    let mut text = String::new();
    for (was, is, what) in [
        (&before.processor, &after.processor, "processors"),
        (&before.threads.to_string(), &after.threads.to_string(), "numbers of threads"),
    ] {
        if was != is {
            text += &format!("warning: different {what}: {was:?}, then {is:?}\n");
        }
    }
    let (before_date, after_date) = (&before.date, &after.date);
    text += &table("slower", [before_date, after_date], pairs.iter().filter(|p| p.is_slower()));
    pairs.reverse();
    text += &table("faster", [before_date, after_date], pairs.iter().filter(|p| p.is_faster()));
    text += &summary(&pairs);
    for (one, other, where_) in [(before, after, before_date), (after, before, after_date)] {
        for timing in one.timings.iter().filter(|t| partner(t, other).is_none()) {
            text += &format!("only of {where_}: {}\n", timing.name);
        }
    }
    text
}

fn pairs<'a>(before: &'a Sitting, after: &'a Sitting) -> Vec<Pair<'a>> {
    let pair = |after: &'a Timing| {
        let before = partner(after, before)?;
        Some(Pair { before, after, ratio: after.times_as_long_as(before) })
    };
    after.timings.iter().filter_map(pair).collect()
}

fn partner<'a>(timing: &Timing, sitting: &'a Sitting) -> Option<&'a Timing> {
    sitting.timings.iter().find(|t| (&t.name, &t.unit) == (&timing.name, &timing.unit))
}

fn table<'a>(
    title: &str,
    [before, after]: [&str; 2],
    pairs: impl Iterator<Item = &'a Pair<'a>>,
) -> String {
    let mut rows = vec![[title, before, after, "times as long"].map(str::to_owned)];
    rows.extend(pairs.map(|pair| {
        let Pair { before, after, ratio } = pair;
        let shown = |t: &Timing| measured(t.median, &t.unit);
        [after.name.clone(), shown(before), shown(after), format!("{ratio:.2}")]
    }));
    if rows.len() == 1 { format!("nothing became {title}\n") } else { lay_out(&rows) + "\n" }
}

/// How many changed, and by how much all did: a machine that has slowed down shows there.
fn summary(pairs: &[Pair<'_>]) -> String {
    if pairs.is_empty() {
        return "no reading is in both\n".to_owned();
    }
    let logs: f64 = pairs.iter().map(|pair| pair.ratio.ln()).sum();
    let overall = (logs / pairs.len() as f64).exp();
    let slower = pairs.iter().filter(|pair| pair.is_slower()).count();
    let faster = pairs.iter().filter(|pair| pair.is_faster()).count();
    let all = pairs.len();
    format!(
        "{all} readings: {slower} slower, {faster} faster; {overall:.2} times as long overall\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(name: &str, unit: &str, median: f64, noise: f64) -> Timing {
        let (low, high) = (median - noise, median + noise);
        Timing { name: name.to_owned(), unit: unit.to_owned(), median, low, high }
    }

    fn sitting(date: &str, timings: Vec<Timing>) -> Sitting {
        Sitting { date: date.to_owned(), processor: "a".to_owned(), threads: 2, timings }
    }

    #[test]
    fn only_what_lies_beyond_the_noise_is_slower() {
        let before = sitting(
            "monday",
            vec![
                timing("slow", "ns", 100.0, 2.0),
                timing("noisy", "ns", 100.0, 30.0),
                timing("drift", "ns", 100.0, 0.1),
                timing("rate", "it/s", 100.0, 2.0),
                timing("better", "s", 1.0, 0.01),
                timing("gone", "s", 1.0, 0.01),
            ],
        );
        let after = sitting(
            "tuesday",
            vec![
                timing("slow", "ns", 120.0, 2.0),
                timing("noisy", "ns", 120.0, 30.0),
                timing("drift", "ns", 104.0, 0.1),
                timing("rate", "it/s", 50.0, 2.0),
                timing("better", "s", 0.5, 0.01),
                timing("new", "s", 1.0, 0.01),
            ],
        );
        let text = report(&before, &after);
        let line = |name: &str| text.lines().position(|l| l.starts_with(&format!("| {name} ")));
        // The worst first; a rate that halves takes twice as long.
        assert!(line("rate").unwrap() < line("slow").unwrap(), "{text}");
        assert!(line("slow").unwrap() < line("better").unwrap(), "{text}");
        assert!(line("noisy").is_none() && line("drift").is_none(), "{text}");
        assert!(text.contains("2.00") && text.contains("1.20") && text.contains("0.50"), "{text}");
        assert!(text.contains("5 readings: 2 slower, 1 faster; 1.08 times"), "{text}");
        assert!(text.contains("only of monday: gone") && text.contains("only of tuesday: new"));
        assert!(!text.contains("warning"));
    }

    #[test]
    fn another_machine_is_no_slower_program() {
        let before = sitting("monday", vec![timing("a", "ns", 1.0, 0.0)]);
        let mut after = before.clone();
        after.processor = "b".to_owned();
        let text = report(&before, &after);
        assert!(text.starts_with("warning: different processors: \"a\", then \"b\""), "{text}");
        assert!(text.contains("nothing became slower") && text.contains("nothing became faster"));
        assert!(report(&before, &sitting("x", vec![])).contains("no reading is in both"));
    }
}
