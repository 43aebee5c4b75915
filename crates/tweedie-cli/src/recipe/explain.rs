//! What is wrong with a recipe, in one line.

use figment::Figment;
use figment::error::{Actual, Error, Kind};
use figment::value::{Dict, Value};

/// "file: `key` is found, expected …", with the nearest known key for an unknown one. A key that is
/// missing comes from nowhere: it is the `lowest` layer that should have it.
pub(super) fn explain(err: &Error, merged: &Figment, lowest: &str) -> String {
    let mut path = err.path.clone();
    let what = match &err.kind {
        Kind::UnknownField(key, known) => {
            // The path holds the key already, unless the section was read whole.
            if path.last() == Some(key) {
                path.pop();
            }
            let known = known.iter().filter(|k| **k != "type");
            let hint = nearest(key, known.copied(), &path);
            path.push(key.clone());
            format!("unknown key `{}`{hint}", path.join("."))
        }
        Kind::UnknownVariant(found, known) => {
            let hint = nearest(found, known.iter().copied(), &[]);
            let key = in_section(&path, merged, |v| v.as_str() == Some(found));
            format!("`{key}` is \"{found}\"{hint}")
        }
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            let key = in_section(&path, merged, |v| v.to_actual() == *actual);
            format!("`{key}` is {}, expected {}", shown(actual), in_words(expected))
        }
        Kind::MissingField(key) => {
            path.push(key.to_string());
            format!("`{}` is missing", path.join("."))
        }
        Kind::ISizeOutOfRange(n) => format!("`{}` is {n}, out of range", path.join(".")),
        Kind::USizeOutOfRange(n) => format!("`{}` is {n}, out of range", path.join(".")),
        kind if path.is_empty() => kind.to_string(),
        kind => format!("`{}`: {kind}", path.join(".")),
    };
    let source = err.metadata.as_ref().map(|m| m.name.to_string());
    let missing = matches!(err.kind, Kind::MissingField(_)).then(|| lowest.to_owned());
    match missing.or(source).or_else(|| origin(&path, merged)) {
        Some(source) => format!("{source}: {what}"),
        None => what,
    }
}

/// The layer that the value at `path` comes from.
fn origin(path: &[String], merged: &Figment) -> Option<String> {
    (1..=path.len()).rev().find_map(|n| {
        let metadata = merged.find_metadata(&path[..n].join("."))?;
        Some(metadata.name.to_string())
    })
}

/// "; did you mean `key`?", or all the known ones if none is near.
fn nearest<'a>(found: &str, known: impl Iterator<Item = &'a str>, section: &[String]) -> String {
    let full = |key: &str| match section {
        [] => key.to_owned(),
        section => format!("{}.{key}", section.join(".")),
    };
    let known: Vec<&str> = known.collect();
    let by_distance = known.iter().map(|k| (strsim::jaro_winkler(found, k), *k));
    match by_distance.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((score, key)) if score > 0.7 => format!("; did you mean `{}`?", full(key)),
        Some(_) => format!("; expected one of {}", known.join(", ")),
        None => String::new(),
    }
}

/// The key itself, where serde only knew its section: a section with a `type` is read whole before
/// its keys are looked at, so the one with the offending value is searched.
fn in_section(path: &[String], merged: &Figment, is_it: impl Fn(&Value) -> bool) -> String {
    let path = path.join(".");
    let Ok(Value::Dict(_, section)) = merged.find_value(&path) else { return path };
    match search(&section, &is_it) {
        Some(key) if path.is_empty() => key,
        Some(key) => format!("{path}.{key}"),
        None => path,
    }
}

fn search(section: &Dict, is_it: &impl Fn(&Value) -> bool) -> Option<String> {
    section.iter().find_map(|(key, value)| match value {
        value if is_it(value) => Some(key.clone()),
        Value::Array(_, items) if items.iter().any(is_it) => Some(key.clone()),
        Value::Dict(_, inner) => Some(format!("{key}.{}", search(inner, is_it)?)),
        _ => None,
    })
}

fn shown(actual: &Actual) -> String {
    match actual {
        Actual::Str(text) => format!("{text:?}"),
        Actual::Signed(n) => n.to_string(),
        Actual::Unsigned(n) => n.to_string(),
        Actual::Float(n) => n.to_string(),
        Actual::Bool(b) => b.to_string(),
        Actual::Map => "a section".to_owned(),
        Actual::Seq => "a list".to_owned(),
        other => other.to_string(),
    }
}

fn in_words(expected: &str) -> &str {
    match expected {
        "u64" | "u32" | "u16" | "u8" | "usize" => "a whole number of at least 0",
        "i64" | "i32" | "isize" => "a whole number",
        "f64" | "f32" => "a number",
        "a sequence" => "a list",
        words if words.starts_with("struct ") || words.starts_with("internally tagged") => {
            "a section"
        }
        words => words,
    }
}
