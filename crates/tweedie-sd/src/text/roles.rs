//! Which tokens begin, end and fill a prompt, and which are matched before any other, out of
//! `tokenizer_config.json` and `special_tokens_map.json`.

use super::vocabulary::{Vocabulary, json};
use crate::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use tokenizers::AddedToken;

/// Positions of a text encoder where the files say nothing else.
pub(super) const MAX_LENGTH: usize = 77;

/// The order in which transformers adds them.
const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The tokens with a task of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begins every prompt.
    pub bos: String,
    /// Ends every prompt.
    pub eos: String,
    /// Fills what is left of the length. Stable Diffusion 1.x fills with `eos`, Stable Diffusion
    /// 2.x and SDXL's second encoder with `!`.
    pub pad: String,
    /// Stands for a symbol that the vocabulary lacks.
    pub unk: String,
}

impl Default for SpecialTokens {
    /// Those of CLIP and Stable Diffusion 1.x.
    fn default() -> Self {
        let eos = || "<|endoftext|>".to_owned();
        Self { bos: "<|startoftext|>".to_owned(), eos: eos(), pad: eos(), unk: eos() }
    }
}

/// Special tokens, everything that is matched before the other tokens, and the length.
pub(super) struct Roles {
    pub(super) special: SpecialTokens,
    pub(super) added: Vec<AddedToken>,
    pub(super) max_length: usize,
}

impl From<SpecialTokens> for Roles {
    fn from(special: SpecialTokens) -> Self {
        let SpecialTokens { bos, eos, pad, unk } = &special;
        let added = [bos, eos, unk, pad].map(|token| AddedToken::from(token.as_str(), true));
        Self { added: added.to_vec(), special, max_length: MAX_LENGTH }
    }
}

impl Roles {
    /// As transformers puts them together: `added_tokens_decoder` of the configuration where it
    /// has one, else what the older files say.
    pub(super) fn open(folder: &Path, vocabulary: &Vocabulary) -> Result<Self> {
        let path = folder.join("tokenizer_config.json");
        let mut config: Config = read_if_there(&path)?;
        if !config.contains_key("added_tokens_decoder") {
            config.extend(read_if_there::<Config>(&folder.join("special_tokens_map.json"))?);
        }
        let later = read_if_there(&folder.join("added_tokens.json"))?;
        Self::read(&config, &later, vocabulary).map_err(|problem| Error::model(&path, problem))
    }

    fn read(
        config: &Config,
        later: &BTreeMap<String, u32>,
        vocabulary: &Vocabulary,
    ) -> Result<Self, String> {
        let class = config.get("tokenizer_class").and_then(Value::as_str);
        if let Some(class) = class.filter(|class| !is_clip(class)) {
            return Err(format!("tokenizer_class is {class}, expected CLIPTokenizer"));
        }
        let unreadable = |e: serde_json::Error| format!("its tokens cannot be read: {e}");
        let named = named(config).map_err(unreadable)?;
        let mut by_id = BTreeMap::new();
        if let Some(decoder) = config.get("added_tokens_decoder") {
            let entries = BTreeMap::<u32, Entry>::deserialize(decoder).map_err(unreadable)?;
            by_id.extend(entries.into_iter().map(|(id, entry)| (id, entry.token(false))));
        } else {
            let special = |t: &str| named.iter().any(|token| token.content == t);
            by_id.extend(later.iter().map(|(t, &id)| (id, AddedToken::from(t, special(t)))));
            let own = vocabulary.added.iter().cloned();
            by_id.extend(own.filter_map(|entry| Some((entry.id?, entry.token(false)))));
        }
        let new = |token: &AddedToken| !by_id.values().any(|known| known.content == token.content);
        let named: Vec<_> = named.into_iter().filter(new).collect();
        Ok(Self {
            special: SpecialTokens::read(config),
            added: by_id.into_values().chain(named).collect(),
            max_length: max_length(config.get("model_max_length"))?,
        })
    }
}

impl SpecialTokens {
    fn read(config: &Config) -> Self {
        let mut special = Self::default();
        let Self { bos, eos, pad, unk } = &mut special;
        for (role, name) in [(bos, NAMES[0]), (eos, NAMES[1]), (unk, NAMES[2]), (pad, NAMES[4])] {
            if let Some(token) = config.get(name).and_then(content) {
                *role = token.to_owned();
            }
        }
        special
    }
}

/// What tokenizer_config.json holds, with special_tokens_map.json over it.
type Config = Map<String, Value>;

/// The special tokens of a configuration, and CLIP's own where it names none.
fn named(config: &Config) -> serde_json::Result<Vec<AddedToken>> {
    let there = NAMES.into_iter().filter_map(|name| config.get(name));
    let extra = ["extra_special_tokens", "additional_special_tokens"];
    let extra = extra.into_iter().find_map(|name| config.get(name)?.as_array());
    let values = there.filter(|value| !value.is_null()).chain(extra.into_iter().flatten());
    let mut tokens: Vec<AddedToken> = Vec::new();
    for value in values {
        let token = special_token(value)?;
        // Published folders describe `<|endoftext|>` twice; the last one holds.
        match tokens.iter_mut().find(|known| known.content == token.content) {
            Some(known) => *known = token,
            None => tokens.push(token),
        }
    }
    for token in Roles::from(SpecialTokens::read(config)).added {
        if !tokens.iter().any(|known| known.content == token.content) {
            tokens.push(token);
        }
    }
    Ok(tokens)
}

/// A token as the files describe it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Entry {
    id: Option<u32>,
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    normalized: Option<bool>,
    #[serde(default)]
    special: bool,
}

impl Entry {
    fn token(self, special: bool) -> AddedToken {
        let special = special || self.special;
        AddedToken {
            content: self.content,
            single_word: self.single_word,
            lstrip: self.lstrip,
            rstrip: self.rstrip,
            normalized: self.normalized.unwrap_or(!special),
            special,
        }
    }
}

/// A special token is a string or an object.
fn special_token(value: &Value) -> serde_json::Result<AddedToken> {
    match value.as_str() {
        Some(content) => Ok(AddedToken::from(content, true)),
        None => Ok(Entry::deserialize(value)?.token(true)),
    }
}

fn content(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

fn is_clip(class: &str) -> bool {
    class.starts_with("CLIP") || ["PreTrainedTokenizerFast", "TokenizersBackend"].contains(&class)
}

/// A missing or a huge length is transformers' way to say that none is known.
fn max_length(value: Option<&Value>) -> Result<usize, String> {
    const UNKNOWN: f64 = 1e6;
    match value.map(|v| (v, v.as_f64())) {
        None | Some((Value::Null, _)) => Ok(MAX_LENGTH),
        Some((_, Some(n))) if n > UNKNOWN => Ok(MAX_LENGTH),
        Some((_, Some(n))) if n >= 3.0 => Ok(n as usize),
        Some((found, _)) => Err(format!("model_max_length is {found}, expected at least 3")),
    }
}

fn read_if_there<T: serde::de::DeserializeOwned + Default>(path: &Path) -> Result<T> {
    match path.exists() {
        true => json(path),
        false => Ok(T::default()),
    }
}
