//! defaults < file < environment < `key=value`.

use super::explain::explain;
use crate::output::usage;
use anyhow::Result;
use figment::value::{Dict, Map};
use figment::{Figment, Metadata, Profile, Provider, providers::Serialized};
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// The prefix of environment variables: `TWEEDIE_BATCH_SIZE`, `TWEEDIE_MODEL__HIDDEN_DIMS`.
const PREFIX: &str = "TWEEDIE_";

/// A table that knows where it comes from, for error messages.
pub(crate) struct Layer {
    source: String,
    table: Table,
}

impl Layer {
    /// A table as it is.
    pub(crate) fn given(source: &str, table: Table) -> Self {
        Layer { source: source.to_owned(), table }
    }

    /// The text of a TOML file.
    pub(crate) fn toml(source: &str, text: &str) -> Result<Self> {
        let table = text.parse::<Table>().map_err(|err| {
            let start = err.span().map_or(0, |s| s.start);
            let line = 1 + text.bytes().take(start).filter(|&b| b == b'\n').count();
            let words = err.message().replace('\n', " ");
            usage(format!("{source}, line {line}: not TOML: {words}"))
        })?;
        Ok(Layer { source: source.to_owned(), table })
    }

    /// `TWEEDIE_KEY=value`; two underscores stand for the dot of `section.key`.
    pub(crate) fn environment(variables: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut table = Table::new();
        for (name, text) in variables {
            if let Some(key) = name.strip_prefix(PREFIX) {
                let key = key.to_lowercase().replace("__", ".");
                insert(&mut table, &key, value(&text))
                    .map_err(|why| usage(format!("{name}: {why}")))?;
            }
        }
        Ok(Layer { source: "the environment".to_owned(), table })
    }

    /// `key=value` or `section.key=value`, as typed.
    pub(crate) fn typed(settings: &[String]) -> Result<Self> {
        let mut table = Table::new();
        for setting in settings {
            let Some((key, text)) = setting.split_once('=') else {
                return Err(usage(format!("{setting:?} is not key=value")));
            };
            insert(&mut table, key.trim(), value(text.trim()))
                .map_err(|why| usage(format!("{setting:?}: {why}")))?;
        }
        Ok(Layer { source: "the command line".to_owned(), table })
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Serialized::defaults(&self.table).data()
    }
}

/// Merges the layers, later ones over earlier ones, key by key, and reads the outcome.
pub(crate) fn merge<T: DeserializeOwned>(layers: &[&Layer]) -> Result<T> {
    let merged = layers.iter().fold(Figment::new(), |all, layer| all.merge(*layer));
    let lowest = layers.first().map_or("", |layer| layer.source.as_str());
    merged.extract().map_err(|err| usage(explain(&err, &merged, lowest)))
}

/// A TOML value, or text where it is not one: `lr=1e-3`, `model.hidden_dims=[64, 64]`, `dtype=f32`.
fn value(text: &str) -> Value {
    match format!("value = {text}").parse::<Table>() {
        Ok(mut table) if table.len() == 1 => {
            table.remove("value").unwrap_or_else(|| Value::String(text.to_owned()))
        }
        _ => Value::String(text.to_owned()),
    }
}

fn insert(table: &mut Table, key: &str, value: Value) -> Result<(), String> {
    match key.split_once('.') {
        None if key.is_empty() => Err("the key is empty".to_owned()),
        None => {
            table.insert(key.to_owned(), value);
            Ok(())
        }
        Some((section, rest)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            match inner {
                Value::Table(inner) => insert(inner, rest, value),
                _ => Err(format!("{section} is both a value and a section")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Section {
        width: usize,
        name: String,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Whole {
        lr: f64,
        steps: u64,
        section: Section,
    }

    const FILE: &str = "lr = 1\nsteps = 10\n[section]\nwidth = 3\nname = \"a\"";

    fn read(typed: &[&str], environment: &[(&str, &str)]) -> Result<Whole> {
        let typed: Vec<String> = typed.iter().map(ToString::to_string).collect();
        let variables = environment.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        merge(&[
            &Layer::toml("a.toml", FILE)?,
            &Layer::environment(variables)?,
            &Layer::typed(&typed)?,
        ])
    }

    #[test]
    fn later_layers_win_key_by_key() {
        let whole = read(
            &["steps=5", "section.name=b c"],
            &[("TWEEDIE_LR", "1e-3"), ("TWEEDIE_STEPS", "7")],
        );
        let section = Section { width: 3, name: "b c".to_owned() };
        assert_eq!(whole.unwrap(), Whole { lr: 1e-3, steps: 5, section });
    }

    #[test]
    fn errors_name_the_key_and_the_layer() {
        let said = |typed: &[&str]| read(typed, &[]).unwrap_err().to_string();
        assert_eq!(
            said(&["stesp=5"]),
            "the command line: unknown key `stesp`; did you mean `steps`?"
        );
        assert_eq!(
            said(&["section.with=5"]),
            "the command line: unknown key `section.with`; did you mean `section.width`?"
        );
        assert_eq!(
            said(&["steps=-5"]),
            "the command line: `steps` is -5, expected a whole number of at least 0"
        );
        assert_eq!(said(&["lr=fast"]), "the command line: `lr` is \"fast\", expected a number");
        assert_eq!(said(&["steps"]), "\"steps\" is not key=value");
        assert_eq!(said(&["section=1"]), "the command line: `section` is 1, expected a section");
        let broken = Layer::toml("b.toml", "a = 1\nb = = 2").err().unwrap().to_string();
        assert!(broken.starts_with("b.toml, line 2: not TOML: "), "{broken}");
    }
}
