//! What a run logged, as curves.

use super::axis::{Axis, count};
use super::chart::{Chart, Line, Points};
use super::log::{Log, number};
use crate::picture::curve::{running_mean, short};
use anyhow::{Result, ensure};
use maud::{Markup, html};
use serde_json::{Map, Value};
use std::path::Path;

/// A curve of a training step: its key, its name with its unit, its colour, whether it may be
/// logarithmic, whether a mean is drawn over it.
struct Curve(&'static str, &'static str, &'static str, bool, bool);

const CURVES: [Curve; 4] = [
    Curve("loss", "Loss", "c0", true, true),
    Curve("lr", "Learning rate", "c2", false, false),
    Curve("grad_norm", "Gradient norm", "c3", true, true),
    Curve("samples_per_second", "Speed, samples per second", "c1", false, true),
];

/// The section on the log of the run in `folder`.
pub(super) fn section(folder: &Path) -> Result<Markup> {
    let log = Log::read(folder)?;
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
fn training(log: &Log, Curve(key, name, colour, may_be_log, smooth): &Curve) -> Option<Markup> {
    let points = log.series(key);
    let known: Vec<(f64, f64)> = points.iter().filter_map(|p| Some((p.0, p.1?))).collect();
    let (first, last) = (known.first()?, known.last()?);
    let values = || known.iter().map(|p| p.1);
    let window = (known.len() / 50).max(1);
    let y = if *may_be_log { Axis::fitting(values()) } else { Axis::linear(values()) };
    let smooth = *smooth && window > 1;
    let raw = if smooth { "raw".to_owned() } else { (*colour).to_owned() };
    let mut lines =
        vec![Line { name: "each logged step".to_owned(), class: raw, points: points.clone() }];
    if smooth {
        let mean: Points =
            running_mean(&known, window).into_iter().map(|(x, y)| (x, Some(y))).collect();
        let name = format!("mean of the last {window} logged steps");
        lines.push(Line { name, class: format!("{colour} thick"), points: mean });
    }
    let x = Axis::steps(known.iter().map(|p| p.0));
    let lost = points.len() - known.len();
    let low = known.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let summary = html! {
        "first " (short(first.1)) ", lowest " (short(low.1)) " (step " (count(low.0 as u64)) "), last " (short(last.1))
        @if lost > 0 { "; not a number in " (lost) " logged steps" }
    };
    Some(figure(&Chart { title: name, x_name: "step", y_name: name, x, y, lines }, &summary))
}

fn figure(chart: &Chart<'_>, summary: &Markup) -> Markup {
    html! {
        figure {
            h3 { (chart.title) }
            (chart.svg())
            (chart.legend())
            figcaption { (summary) }
        }
    }
}

/// The validation loss over the steps, a line for each noise level that it was measured at.
fn validation(log: &Log) -> Option<Markup> {
    let mut lines: Vec<(f64, Points)> = Vec::new();
    for record in log.of_kind("validation") {
        let step = number(record, "step")?;
        for (level, loss) in levels(record) {
            match lines.iter_mut().find(|(known, _)| *known == level) {
                Some((_, points)) => points.push((step, loss)),
                None => lines.push((level, vec![(step, loss)])),
            }
        }
    }
    lines.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all: Vec<(f64, f64)> =
        lines.iter().flat_map(|l| &l.1).filter_map(|p| Some((p.0, p.1?))).collect();
    if all.is_empty() {
        return None;
    }
    let drawn = |(i, (level, points)): (usize, (f64, Points))| Line {
        name: format!("σ/α = {}", short(level)),
        class: format!("c{}", i % super::dots::COLOURS),
        points,
    };
    let chart = Chart {
        title: "Validation loss by noise level",
        x_name: "step",
        y_name: "Loss on held-out data",
        x: Axis::steps(all.iter().map(|p| p.0)),
        y: Axis::fitting(all.iter().map(|p| p.1)),
        lines: lines.into_iter().enumerate().map(drawn).collect(),
    };
    Some(figure(&chart, &html! { "Measured with the same noise at the same levels each time." }))
}

/// (noise level, loss) of a validation record: two lists of one length.
fn levels(record: &Map<String, Value>) -> Vec<(f64, Option<f64>)> {
    let list = |key: &str| record.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let pair = |(level, loss): (&Value, &Value)| {
        Some((level.as_f64().filter(|l| l.is_finite())?, loss.as_f64().filter(|l| l.is_finite())))
    };
    list("sigma").iter().zip(list("loss")).filter_map(pair).collect()
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
        assert!(
            html.contains("Loss (logarithmic)") && html.contains("mean of the last 4"),
            "{html}"
        );
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
        assert!(said.contains("metrics.jsonl cannot be read"), "{said}");
    }

    #[test]
    fn validation_has_a_line_for_each_level() {
        let record = |step: u32| {
            format!(
                "{{\"kind\": \"validation\", \"step\": {step}, \"sigma\": [0.1, 1], \"loss\": [0.5, null]}}\n"
            )
        };
        let html = made(&(record(10) + &record(20))).unwrap();
        assert!(html.contains("σ/α = 0.1") && html.contains("σ/α = 1"), "{html}");
        assert!(html.contains("Validation loss by noise level"), "{html}");
    }
}
