//! The words of a model and how bytes are joined to them, out of its files.

use super::roles::Entry;
use crate::options::{read_json, read_small};
use crate::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use tokenizers::models::bpe::{Merges, Vocab};

/// What CLIP puts behind the last symbol of a word.
pub(super) const END_OF_WORD: &str = "</w>";

/// Tokens with their ids, and the merges in the order of their rank.
pub(super) struct Vocabulary {
    pub(super) ids: Vocab,
    pub(super) merges: Merges,
    /// Further tokens that a `tokenizer.json` names.
    pub(super) added: Vec<Entry>,
}

impl Vocabulary {
    /// From `tokenizer.json` where there is one, as transformers does, else from `vocab.json` and
    /// `merges.txt`.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let [whole, vocab, merges] =
            ["tokenizer.json", "vocab.json", "merges.txt"].map(|name| folder.join(name));
        if whole.exists() {
            return Self::from_tokenizer_json(&whole);
        }
        if !vocab.exists() && !merges.exists() {
            let expected = "it has no tokenizer: expected vocab.json and merges.txt, or \
                            tokenizer.json";
            return Err(Error::model(folder, expected));
        }
        let ids: HashMap<String, u32> = json(&vocab)?;
        let new = Self {
            ids: ids.into_iter().collect(),
            merges: read_merges(&merges)?,
            added: Vec::new(),
        };
        new.check_ids().map_err(|problem| Error::model(&vocab, problem))?;
        new.check_merges().map_err(|problem| Error::model(&merges, problem))?;
        Ok(new)
    }

    fn from_tokenizer_json(path: &Path) -> Result<Self> {
        let json: serde_json::Value = json(path)?;
        let model = json.pointer("/model/type").and_then(serde_json::Value::as_str);
        if let Some(other) = model.filter(|kind| *kind != "BPE") {
            let problem = format!("its model is {other}, expected BPE, which CLIP uses");
            return Err(Error::model(path, problem));
        }
        let file: TokenizerJson = serde_json::from_value(json)
            .map_err(|e| Error::model(path, format!("it cannot be read: {e}")))?;
        let merges = file.model.merges.into_iter().map(Merge::pair).collect::<Result<_, _>>();
        let new = Self {
            ids: file.model.vocab.into_iter().collect(),
            merges: merges.map_err(|problem| Error::model(path, problem))?,
            added: file.added_tokens,
        };
        new.check().map_err(|problem| Error::model(path, problem))?;
        Ok(new)
    }

    /// That the ids and the merges belong together; the problem if not.
    pub(super) fn check(&self) -> Result<(), String> {
        self.check_ids()?;
        self.check_merges()
    }

    fn check_ids(&self) -> Result<(), String> {
        let mut by_id: Vec<_> = self.ids.iter().map(|(token, &id)| (id, token)).collect();
        by_id.sort_unstable();
        if let Some((id, token)) = by_id.last().filter(|(id, _)| i32::try_from(*id).is_err()) {
            return Err(format!("token {token:?} has id {id}, expected less than 2^31"));
        }
        match by_id.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            None => Ok(()),
            Some(pair) => {
                let [(id, one), (_, other)] = [pair[0], pair[1]];
                Err(format!("tokens {one:?} and {other:?} both have id {id}"))
            }
        }
    }

    /// Every merge makes a known token of known ones; and every token longer than a symbol is made
    /// by a merge, or the list of merges was cut off.
    fn check_merges(&self) -> Result<(), String> {
        let mut made: HashSet<u32> = HashSet::with_capacity(self.merges.len());
        for (i, (a, b)) in self.merges.iter().enumerate() {
            let whole = format!("{a}{b}");
            let unknown = [a, b, &whole].into_iter().find(|token| !self.ids.contains_key(*token));
            if let Some(token) = unknown {
                return Err(format!(
                    "merge {} ({a:?} with {b:?}) needs token {token:?}, which the vocabulary \
                     lacks: one of them is cut off or of another model",
                    i + 1
                ));
            }
            made.extend(self.ids.get(&whole));
        }
        let lost = self.ids.iter().filter(|(token, id)| !made.contains(*id) && is_joined(token));
        let lost: Vec<_> = lost.map(|(token, id)| (id, token)).collect();
        match lost.iter().min() {
            None => Ok(()),
            Some((_, token)) => Err(format!(
                "{} tokens of the vocabulary, such as {token:?}, come from none of its {} merges: \
                 cut off, or of another model",
                lost.len(),
                self.merges.len()
            )),
        }
    }
}

/// Whether a token is neither one symbol nor a special one like `<|endoftext|>`.
fn is_joined(token: &str) -> bool {
    let word = token.strip_suffix(END_OF_WORD);
    let symbol = word.unwrap_or(token).chars().nth(1).is_none();
    let special = word.is_none() && token.starts_with('<') && token.ends_with('>');
    !symbol && !special
}

/// A vocabulary has a few megabytes; a file above this is something else.
const MOST_BYTES: u64 = 64 << 20;

/// A JSON file of the tokenizer's.
pub(super) fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    read_json(path, MOST_BYTES)
}

/// Lines of two tokens each, below a line with the version.
fn read_merges(path: &Path) -> Result<Merges> {
    let text = read_small(path, MOST_BYTES)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with("#version"));
    let merges = lines.map(|(i, line)| {
        split_merge(line).map_err(|e| Error::model(path, format!("line {}: {e}", i + 1)))
    });
    merges.collect()
}

fn split_merge(line: &str) -> Result<(String, String), String> {
    match line.split(' ').collect::<Vec<_>>()[..] {
        [a, b] if !a.is_empty() && !b.is_empty() => Ok((a.to_owned(), b.to_owned())),
        _ => {
            Err(format!("a merge is {line:?}, expected two tokens with a space between: cut off?"))
        }
    }
}

#[derive(Deserialize)]
struct TokenizerJson {
    model: Bpe,
    #[serde(default)]
    added_tokens: Vec<Entry>,
}

#[derive(Deserialize)]
struct Bpe {
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
}

/// Older files have a line for a merge, newer ones a pair.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Line(String),
    Pair(String, String),
}

impl Merge {
    fn pair(self) -> Result<(String, String), String> {
        match self {
            Merge::Line(line) => split_merge(&line),
            Merge::Pair(a, b) => Ok((a, b)),
        }
    }
}
