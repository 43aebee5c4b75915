//! What a run is made of, in words: from the recipe's own names, so that a new setting shows up.

use super::axis::count;
use crate::recipe::Recipe;
use crate::run::Run;
use anyhow::Result;
use maud::{Markup, html};
use serde_json::Value;

/// Names of settings that have a better one, in the order in which they are told.
const NAMES: &[(&str, &str)] = &[
    ("data", "Data"),
    ("model", "Network"),
    ("schedule", "Noise levels"),
    ("parametrization", "Parametrisation"),
    ("objective", "Objective"),
    ("steps", "Steps"),
    ("batch_size", "Batch size"),
    ("lr", "Learning rate"),
    ("optimizer", "Optimiser"),
    ("ema_decay", "Averaging (EMA decay)"),
    ("ema", "Averages"),
    ("validation", "Validation"),
    ("sample", "Sampling"),
    ("seed", "Seed"),
    ("device", "Device"),
    ("dtype", "Numbers"),
    ("threads", "Threads"),
];

/// Settings that say when something is written, not what is learnt.
const UNTOLD: &[&str] = &["checkpoint_every", "preview_every", "checkpoints"];

/// The section on the recipe: a table of its settings, and all of it as TOML.
pub(super) fn section(run: &Run) -> Result<Markup> {
    let recipe = serde_json::to_value(&run.recipe)?;
    let toml = run.recipe.to_toml()?;
    Ok(html! {
        div.scroll tabindex="0" role="region" aria-label="The main settings" {
            table.settings {
                tbody {
                    @for (name, value) in rows(&recipe) {
                        tr { th scope="row" { (name) } td { (value) } }
                    }
                }
            }
        }
        details {
            summary { "The whole recipe, resolved, as TOML" }
            pre tabindex="0" { code { (toml) } }
        }
    })
}

/// The number of parameters and what kind of network they are of.
pub(super) fn network(run: &Run) -> String {
    let spec = run.model.network.spec();
    let parameters = run.model.network.parameters().count() as u64;
    format!("{}, {} parameters", spec.name(), count(parameters))
}

/// Data and network, in a few words.
pub(super) fn gist(recipe: &Recipe) -> String {
    format!("{} · {}", recipe.data.name(), recipe.model.name())
}

/// (name, value) of the settings that are given, the best known first.
fn rows(recipe: &Value) -> Vec<(String, String)> {
    let Some(settings) = recipe.as_object() else { return vec![] };
    let named = |key: &str| NAMES.iter().any(|(known, _)| *known == key);
    let known = NAMES.iter().map(|(key, name)| (*key, *name));
    let others = settings.keys().map(|key| (key.as_str(), key.as_str()));
    let others = others.filter(|(key, _)| !named(key) && !UNTOLD.contains(key));
    let row = |(key, name): (&str, &str)| {
        let value = words(settings.get(key)?);
        (!value.is_empty()).then(|| (name.to_owned(), value))
    };
    known.chain(others).filter_map(row).collect()
}

/// A setting in words: `log-linear, n 200, sigma_min 0.005`.
fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), count),
        Value::Array(items) => items.iter().map(inner).collect::<Vec<_>>().join(" × "),
        Value::Object(fields) => {
            let head = ["type", "name"].into_iter().find(|key| fields.contains_key(*key));
            let first = head.map(|key| words(&fields[key]));
            let rest =
                fields.iter().filter(|(key, value)| Some(key.as_str()) != head && !value.is_null());
            let rest = rest.map(|(key, value)| format!("{key} {}", inner(value)));
            first.into_iter().chain(rest).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// The same within other words.
fn inner(value: &Value) -> String {
    match value {
        Value::Object(fields) if fields.len() > 1 => format!("({})", words(value)),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        _ => words(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_are_told_in_words_and_unknown_ones_too() {
        let recipe = json!({
            "new_setting": true, "steps": 12000, "lr": 1e-3, "threads": null, "preview_every": 10,
            "schedule": {"type": "log-linear", "n": 200, "sigma_min": 0.005},
            "objective": {"levels": {"type": "uniform"}, "weighting": {"type": "edm", "sigma_data": 0.5}},
            "model": {"type": "mlp", "hidden_dims": [16, 32], "none": null, "empty": []},
        });
        let row = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            rows(&recipe),
            [
                row("Network", "mlp, empty none, hidden_dims 16 × 32"),
                row("Noise levels", "log-linear, n 200, sigma_min 0.005"),
                row("Objective", "levels uniform, weighting (edm, sigma_data 0.5)"),
                row("Steps", "12\u{202f}000"),
                row("Learning rate", "0.001"),
                row("new_setting", "true"),
            ]
        );
    }
}
