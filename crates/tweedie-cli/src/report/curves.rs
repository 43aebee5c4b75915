//! What a run logged, as curves.

use super::axis::{Axis, count};
use super::chart::{Chart, Line, Points};
use crate::picture::curve::{running_mean, short};
use anyhow::{Result, ensure};
use maud::{Markup, html};
use serde_json::{Map, Value};
use std::path::Path;
use tweedie::train::log::{Log, number};
use tweedie::train::run_dir;

/// A curve of the training steps.
struct Curve {
    key: &'static str,
    title: &'static str,
    unit: &'static str,
    colour: &'static str,
    /// Whether its axis is logarithmic where the values span decades.
    by_ratio: bool,
    /// Whether a mean is drawn over it.
    noisy: bool,
}

const CURVES: [Curve; 4] = [
    Curve { key: "loss", title: "Loss", unit: "", colour: "c0", by_ratio: true, noisy: true },
    Curve {
        key: "lr",
        title: "Learning rate",
        unit: "",
        colour: "c2",
        by_ratio: false,
        noisy: false,
    },
    Curve {
        key: "grad_norm",
        title: "Gradient norm",
        unit: "",
        colour: "c3",
        by_ratio: true,
        noisy: true,
    },
    Curve {
        key: "samples_per_second",
        title: "Speed",
        unit: "samples per second",
        colour: "c1",
        by_ratio: false,
        noisy: true,
    },
];

/// The section on the log of the run in `folder`.
pub(super) fn section(folder: &Path) -> Result<Markup> {
    let log = run_dir::read_log(folder)?;
    let charts: Vec<Markup> = CURVES.iter().filter_map(|curve| training(&log, curve)).collect();
    let validation = validation(&log);
    ensure!(!charts.is_empty() || validation.is_some(), "metrics.jsonl holds no numbers yet");
    Ok(html! {
        div.charts { @for chart in charts { (chart) } @if let Some(chart) = validation { (chart) } }
        @if log.unread > 0 {
            p.note { (log.unread) " lines of metrics.jsonl could not be read and were passed over." }
        }
    })
}

/// A curve of the training steps, unless nothing was logged of it.
fn training(log: &Log, curve: &Curve) -> Option<Markup> {
    let points = log.series(curve.key);
    let known: Vec<(f64, f64)> = points.iter().filter_map(|p| Some((p.0, p.1?))).collect();
    if known.is_empty() {
        return None;
    }
    let values = || known.iter().map(|p| p.1);
    let chart = Chart {
        title: curve.title,
        x_name: "step",
        y_name: curve.unit,
        x: Axis::steps(known.iter().map(|p| p.0)),
        y: if curve.by_ratio { Axis::fitting(values()) } else { Axis::linear(values()) },
        lines: lines(curve, &points, &known),
    };
    Some(figure(&chart, &summary(&known, points.len() - known.len())))
}

/// Every logged step, and over it the mean of some where single steps say little.
fn lines(curve: &Curve, points: &Points, known: &[(f64, f64)]) -> Vec<Line> {
    let line = |name: String, class: String, points: Points| Line { name, class, points };
    let window = (known.len() / 50).max(1);
    if !curve.noisy || window == 1 {
        return vec![line(String::new(), curve.colour.to_owned(), points.clone())];
    }
    let mean = running_mean(known, window).into_iter().map(|(x, y)| (x, Some(y))).collect();
    vec![
        line("each logged step".to_owned(), "raw".to_owned(), points.clone()),
        line(
            format!("mean of the last {window} logged steps"),
            format!("{} thick", curve.colour),
            mean,
        ),
    ]
}

/// What a curve says in numbers.
fn summary(known: &[(f64, f64)], lost: usize) -> Markup {
    let low = known.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    html! {
        @if let (Some(first), Some(low), Some(last)) = (known.first(), low, known.last()) {
            "first " (short(first.1)) ", lowest " (short(low.1)) " (step " (count(low.0 as u64)) "), last "
            (short(last.1))
        }
        @if lost > 0 { "; not a number in " (lost) " logged steps" }
    }
}

fn figure(chart: &Chart<'_>, summary: &Markup) -> Markup {
    html! {
        figure {
            h3 { (chart.title) " " span.unit { (chart.unit()) } }
            (chart.svg())
            (chart.legend())
            figcaption { (summary) }
        }
    }
}

/// The validation loss over the steps, a line for each noise level that it was measured at.
fn validation(log: &Log) -> Option<Markup> {
    let records: Vec<_> = log.of_kind("validation").collect();
    let mut levels: Vec<(f64, Points)> = Vec::new();
    for record in &records {
        let step = number(record, "step").unwrap_or(0.0);
        for (level, loss) in level_losses(record) {
            match levels.iter_mut().find(|(known, _)| *known == level) {
                Some((_, points)) => points.push((step, loss)),
                None => levels.push((level, vec![(step, loss)])),
            }
        }
    }
    levels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let one = |(i, (level, points)): (usize, (f64, Points))| Line {
        name: format!("σ/α = {}", short(level)),
        class: format!("c{}", i % super::dots::COLOURS),
        points,
    };
    let mut lines: Vec<Line> = levels.into_iter().enumerate().map(one).collect();
    let mean =
        records.iter().filter_map(|r| Some((number(r, "step")?, number(r, "loss")))).collect();
    let name = "mean over the levels".to_owned();
    lines.push(Line { name, class: "mean".to_owned(), points: mean });
    let known = || lines.iter().flat_map(|l| &l.points).filter_map(|p| Some((p.0, p.1?)));
    known().next()?;
    let chart = Chart {
        title: "Validation loss by noise level",
        x_name: "step",
        y_name: "",
        x: Axis::steps(known().map(|p| p.0)),
        y: Axis::fitting(known().map(|p| p.1)),
        lines,
    };
    let summary = html! { "On data that were set aside, with the same noise each time." };
    Some(figure(&chart, &summary))
}

/// (σ/α, loss) of a validation record.
fn level_losses(record: &Map<String, Value>) -> Vec<(f64, Option<f64>)> {
    let levels = record.get("levels").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let pair = |level: &Value| {
        let level = level.as_object()?;
        let ratio = number(level, "sigma")? / number(level, "alpha")?;
        ratio.is_finite().then(|| (ratio, number(level, "loss")))
    };
    levels.iter().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("metrics.jsonl"), text).unwrap();
        section(folder.path()).map(Markup::into_string)
    }

    #[test]
    fn what_was_logged_is_drawn_and_the_rest_is_not() {
        let lines: String = (1..=200)
            .map(|i| {
                format!(
                    "{{\"step\": {i}, \"loss\": {}, \"lr\": 1e-3, \"grad_norm\": null}}\n",
                    100.0 / f64::from(i)
                )
            })
            .collect();
        let html = made(&lines).unwrap();
        assert_eq!(html.matches("<svg").count(), 2, "loss and learning rate");
        for words in ["<span class=\"unit\">logarithmic</span>", "mean of the last 4 logged steps"]
        {
            assert!(html.contains(words), "{words}: {html}");
        }
        assert!(html.contains("first 100, lowest 0.5 (step 200), last 0.5"), "{html}");
    }

    #[test]
    fn one_line_and_lost_losses_are_told() {
        assert!(made("{\"step\": 1, \"loss\": 2.0}").unwrap().contains("h0"));
        let html =
            made("{\"step\": 1, \"loss\": 2.0}\n{\"step\": 2, \"loss\": null}\nNaN\n").unwrap();
        assert!(html.contains("not a number in 1 logged steps"), "{html}");
        assert!(html.contains("1 lines of metrics.jsonl could not be read"), "{html}");
        for nothing in ["", "NaN\n", "{\"step\": 1, \"loss\": null}"] {
            assert!(made(nothing).unwrap_err().to_string().contains("no numbers"));
        }
        let folder = tempfile::tempdir().unwrap();
        let said = format!("{:#}", section(folder.path()).unwrap_err());
        assert!(said.contains("metrics.jsonl: No such file"), "{said}");
    }

    #[test]
    fn validation_has_a_line_for_each_level() {
        let record = |step: u32| {
            format!(
                "{{\"kind\": \"validation\", \"step\": {step}, \"loss\": 0.4, \"levels\": [\
                {{\"alpha\": 1, \"sigma\": 0.1, \"loss\": 0.5}}, {{\"alpha\": 0.5, \"sigma\": 1, \"loss\": null}}, 7]}}\n"
            )
        };
        let html = made(&(record(10) + &record(20))).unwrap();
        assert!(html.contains("σ/α = 0.1") && html.contains("σ/α = 2"), "{html}");
        assert!(html.contains("Validation loss by noise level"), "{html}");
    }
}
