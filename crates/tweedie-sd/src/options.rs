//! A part's settings as its JSON file has them: what is not understood is an error, not a guess.

use crate::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// A settings file is a few hundred bytes; one above this is something else.
pub(crate) const MOST_BYTES: u64 = 1 << 20;

/// Layers or heads of a block: a claim of more would keep the machine busy before it is found out.
const MOST_OF_A_BLOCK: i64 = 1 << 10;

/// The settings of one file, taken out one by one.
#[derive(Debug)]
pub(crate) struct Options {
    path: PathBuf,
    map: Map<String, Value>,
}

/// The text of a small file.
pub(crate) fn read_small(path: &Path, most: u64) -> Result<String> {
    let size = std::fs::metadata(path).map_err(Error::file(path))?.len();
    if size > most {
        return Err(Error::model(path, format!("it has {size} bytes, expected at most {most}")));
    }
    std::fs::read_to_string(path).map_err(Error::file(path))
}

/// A small JSON file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, most: u64) -> Result<T> {
    let text = read_small(path, most)?;
    serde_json::from_str(&text)
        .map_err(|e| Error::model(path, format!("its JSON is broken or cut off: {e}")))
}

impl Options {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Ok(Options { path: path.to_path_buf(), map: read_json(path, MOST_BYTES)? })
    }

    /// Settings that come from elsewhere than a file of their own.
    pub(crate) fn of(path: &Path, value: Value) -> Result<Self> {
        match value {
            Value::Object(map) => Ok(Options { path: path.to_path_buf(), map }),
            _ => Err(Error::model(path, "its settings are no JSON object")),
        }
    }

    /// The file that errors name.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says under `key`, before it is taken.
    pub(crate) fn peek(&self, key: &str) -> Option<&Value> {
        self.map.get(key)
    }

    /// That the file is about one of `classes`, if it says what it is about.
    pub(crate) fn class(&mut self, classes: &[&str]) -> Result<Option<String>> {
        let class: Option<String> = self.take("_class_name")?;
        match &class {
            Some(found) if !classes.contains(&found.as_str()) => {
                Err(self.wrong("_class_name", found, &format!("one of {}", classes.join(", "))))
            }
            _ => Ok(class),
        }
    }

    /// A setting; `None` where it is missing or null.
    pub(crate) fn take<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>> {
        match self.map.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let found = value.to_string();
                serde_json::from_value(value).map(Some).map_err(|e| self.wrong(key, &found, &e))
            }
        }
    }

    /// A setting with a default.
    pub(crate) fn or<T: DeserializeOwned>(&mut self, key: &str, default: T) -> Result<T> {
        Ok(self.take(key)?.unwrap_or(default))
    }

    /// A setting that must be there.
    pub(crate) fn required<T: DeserializeOwned>(&mut self, key: &str) -> Result<T> {
        let missing = || Error::model(&self.path, format!("{key} is missing"));
        let missing = missing();
        self.take(key)?.ok_or(missing)
    }

    /// A setting that is one number for all blocks or one a block.
    pub(crate) fn each(&mut self, key: &str, default: i64, blocks: usize) -> Result<Vec<i64>> {
        let value: Value = self.or(key, Value::from(default))?;
        let list = match value.as_i64() {
            Some(one) => vec![one; blocks],
            None => serde_json::from_value::<Vec<i64>>(value.clone())
                .map_err(|e| self.wrong(key, &value, &e))?,
        };
        match list.len() == blocks && list.iter().all(|n| (1..=MOST_OF_A_BLOCK).contains(n)) {
            true => Ok(list),
            false => {
                let expected = format!("{blocks} numbers from 1 to {MOST_OF_A_BLOCK}");
                Err(self.wrong(key, &value, &expected))
            }
        }
    }

    /// Settings that are built only as they are here; a file may leave them out or say null.
    pub(crate) fn only(&mut self, fixed: &[(&str, Value)]) -> Result<()> {
        for (key, value) in fixed {
            match self.map.remove(*key) {
                None | Some(Value::Null) => {}
                Some(found) if found == *value || as_numbers(&found, value) => {}
                Some(found) => {
                    return Err(self.wrong(key, &found, &format!("{value}: no other is known")));
                }
            }
        }
        Ok(())
    }

    /// Settings that say nothing about the result.
    pub(crate) fn ignore(&mut self, keys: &[&str]) {
        for key in keys {
            self.map.remove(*key);
        }
    }

    /// That nothing is left but notes (`_…`) and nulls.
    pub(crate) fn finish(self) -> Result<()> {
        let left = self.map.iter().find(|(key, value)| !key.starts_with('_') && !value.is_null());
        match left {
            None => Ok(()),
            Some((key, value)) => Err(Error::model(
                &self.path,
                format!(
                    "the option {key} (here {value}) is not known: this model needs more than is built"
                ),
            )),
        }
    }

    /// An error about one setting.
    pub(crate) fn wrong(
        &self,
        key: &str,
        found: &impl std::fmt::Display,
        expected: &impl std::fmt::Display,
    ) -> Error {
        Error::model(&self.path, format!("{key} is {found}, expected {expected}"))
    }
}

fn as_numbers(a: &Value, b: &Value) -> bool {
    a.as_f64().is_some() && a.as_f64() == b.as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(value: Value) -> Options {
        let Value::Object(map) = value else { panic!("no object") };
        Options { path: "unet/config.json".into(), map }
    }

    #[test]
    fn what_is_not_known_is_named() {
        let message = |o: Options| o.finish().unwrap_err().to_string();
        assert!(message(options(json!({"new_idea": 3}))).contains("new_idea (here 3)"));
        assert!(options(json!({"new_idea": null, "_note": 1})).finish().is_ok());
        let mut o = options(json!({"dropout": 0, "act_fn": "gelu"}));
        assert!(o.only(&[("dropout", json!(0.0))]).is_ok());
        let error = o.only(&[("act_fn", json!("silu"))]).unwrap_err().to_string();
        assert_eq!(
            error,
            "unet/config.json: act_fn is \"gelu\", expected \"silu\": no other is known"
        );
    }

    #[test]
    fn one_number_stands_for_all_blocks() {
        let mut o = options(json!({"a": 2, "b": [1, 2], "c": [1, 2, 3], "d": [0, 1]}));
        assert_eq!(o.each("a", 1, 2).unwrap(), [2, 2]);
        assert_eq!(o.each("b", 1, 2).unwrap(), [1, 2]);
        assert!(options(json!({"e": 60_000})).each("e", 1, 2).is_err());
        assert!(o.each("c", 1, 2).is_err() && o.each("d", 1, 2).is_err());
        assert_eq!(o.each("e", 5, 3).unwrap(), [5, 5, 5]);
    }
}
