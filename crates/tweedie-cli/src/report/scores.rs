//! `eval.json`: what `tweedie eval` measured, with what each number means.

use crate::picture::curve::short;
use anyhow::{Context, Result, bail};
use maud::{Markup, html};
use serde_json::{Map, Value};
use std::path::Path;

/// Names of numbers, what they are, and which way is better, where one is.
const KNOWN: &[(&str, &str, &str)] = &[
    ("frechet_inception", "Fréchet distance of InceptionV3 features (FID)", "lower"),
    ("kernel_inception", "Kernel distance of InceptionV3 features (KID)", "lower"),
    (
        "frechet_classifier",
        "Fréchet distance of the features of a classifier that was trained on this data; not FID, and not to be compared with it",
        "lower",
    ),
    ("precision", "Share of samples that lie among the data, by features", "higher"),
    ("recall", "Share of the data that lie among the samples, by features", "higher"),
    ("sliced_wasserstein", "Sliced Wasserstein distance of the raw numbers", "lower"),
    ("mmd", "Maximum mean discrepancy of the raw numbers", "lower"),
    (
        "class_accuracy",
        "Share of samples that a classifier takes for the class that was asked for",
        "higher",
    ),
    ("classifier_accuracy", "How often that classifier is right on real test data", "higher"),
    ("memorised", "Share of samples that count as copies of training data", "lower"),
    ("nearest_distance", "Median distance from a sample to its nearest training datum", ""),
];

/// What `tweedie eval` leaves in the folder of a run.
const FILE: &str = "eval.json";

/// The section on metrics of the run in `folder`.
pub(super) fn section(folder: &Path) -> Result<Markup> {
    let path = folder.join(FILE);
    if !path.exists() {
        bail!("nothing was measured yet: `tweedie eval RUN` does; then make this report again");
    }
    let text = std::fs::read(&path).context("eval.json cannot be read")?;
    let value: Value = serde_json::from_slice(&text).context("eval.json is not JSON")?;
    let Value::Object(all) = value else { bail!("eval.json is not a JSON object") };
    let Told { metrics, settings, notes } = told(&all);
    if metrics.is_empty() && settings.is_empty() {
        bail!("eval.json holds no number");
    }
    Ok(html! {
        @if !metrics.is_empty() { (table(&metrics)) }
        @for note in notes { p.note { (note) } }
        @if !settings.is_empty() {
            details {
                summary { "How it was measured" }
                dl.facts { @for (name, value) in settings { div { dt { (name) } dd { (value) } } } }
            }
        }
    })
}

/// Names and values.
type Values = Vec<(String, String)>;

/// What `eval.json` says.
struct Told<'a> {
    metrics: Values,
    settings: Values,
    notes: Vec<&'a str>,
}

/// `metrics` and what has the name of one are metrics, in the order of [`KNOWN`]; `nearest` has a
/// section of its own; all else says how it was measured.
fn told(all: &Map<String, Value>) -> Told<'_> {
    let place = |name: &str| KNOWN.iter().position(|(known, ..)| *known == name);
    let (mut metrics, mut settings) = (Vec::new(), Vec::new());
    for (key, value) in all {
        match value {
            Value::Object(inner) if key == "metrics" => collect("", inner, &mut metrics),
            Value::Object(inner) if key == "settings" => collect("", inner, &mut settings),
            Value::Object(_) if key == "nearest" => {}
            other if place(key).is_some() => add(key.clone(), other, &mut metrics),
            other => add(key.clone(), other, &mut settings),
        }
    }
    metrics.sort_by_key(|(name, _)| place(name).unwrap_or(KNOWN.len()));
    let notes = all.get("notes").and_then(Value::as_array).into_iter().flatten();
    Told { metrics, settings, notes: notes.filter_map(Value::as_str).collect() }
}

fn table(metrics: &Values) -> Markup {
    let known = |name: &str| KNOWN.iter().find(|(known, ..)| *known == name);
    html! {
        div.scroll tabindex="0" role="region" aria-label="Metrics" {
            table.metrics {
                thead {
                    tr {
                        th scope="col" { "Metric" }
                        th.number scope="col" { "Value" }
                        th scope="col" { "What it is" }
                    }
                }
                tbody {
                    @for (name, value) in metrics {
                        tr {
                            th scope="row" { code { (name) } }
                            td.number { (value) }
                            td {
                                @if let Some((_, what, better)) = known(name) {
                                    (what) @if !better.is_empty() { "; " (better) " is better" } "."
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// All numbers and words, with the names of the objects around them.
fn collect(prefix: &str, object: &Map<String, Value>, found: &mut Values) {
    for (key, value) in object {
        add(format!("{prefix}{key}"), value, found);
    }
}

fn add(name: String, value: &Value, found: &mut Values) {
    match value {
        Value::Object(inner) => collect(&format!("{name}."), inner, found),
        Value::Number(number) => found.push((name, shown(number))),
        Value::String(text) => found.push((name, text.clone())),
        Value::Bool(is) => found.push((name, is.to_string())),
        Value::Array(_) | Value::Null => {}
    }
}

/// Whole numbers as they are, others with four digits.
fn shown(number: &serde_json::Number) -> String {
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => whole.to_string(),
        (None, Some(value)) if (1e-3..1e4).contains(&value.abs()) => {
            let digits = (3.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize;
            format!("{value:.digits$}")
        }
        (None, Some(value)) => short(value),
        (None, None) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: Option<&str>) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        if let Some(text) = text {
            std::fs::write(folder.path().join("eval.json"), text).unwrap();
        }
        section(folder.path()).map(Markup::into_string)
    }

    #[test]
    fn numbers_are_explained_and_unknown_ones_shown() {
        let html = made(Some(
            r#"{"metrics": {"mmd": 0.01234, "recall": 1.0, "new": 7.5}, "notes": ["few & far"], "nearest": {"k": 3},
                "settings": {"n": 500, "by": {"step": 20}, "data": "<i>", "inception": null}}"#,
        ));
        let html = html.unwrap();
        for part in [
            "0.01234",
            "1.000",
            "500",
            "by.step",
            "20",
            "&lt;i&gt;",
            "lower is better",
            "7.5",
            "few &amp; far",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(html.find("recall").unwrap() < html.find("mmd").unwrap(), "in the known order");
    }

    #[test]
    fn what_is_not_there_or_broken_is_told() {
        assert!(made(None).unwrap_err().to_string().contains("tweedie eval RUN"));
        for (text, words) in [("{\"a\": ", "not JSON"), ("[1]", "object"), ("{}", "no number")] {
            let said = format!("{:#}", made(Some(text)).unwrap_err());
            assert!(said.contains(words), "{said}");
        }
    }
}
