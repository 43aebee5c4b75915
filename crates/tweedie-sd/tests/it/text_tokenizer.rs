//! The ids of transformers' CLIPTokenizer.

use super::support::{PIPELINES, golden};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tweedie_sd::text::{PromptOptions, Tokenizer};

/// What `make.py` wrote.
#[derive(Deserialize)]
struct Golden {
    /// The files beside the vocabulary, by the name of the configuration.
    configs: BTreeMap<String, BTreeMap<String, Value>>,
    cases: Vec<Case>,
    framed: BTreeMap<String, Vec<Framed>>,
    learned: Learned,
}

/// Words of so many vectors, and prompts with them.
#[derive(Deserialize)]
struct Learned {
    tokens: Vec<(String, i64)>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    prompt: String,
    ids: Vec<i64>,
    #[serde(default)]
    decoded: String,
    /// Where a configuration's ids are others.
    #[serde(default)]
    other: BTreeMap<String, Vec<i64>>,
}

#[derive(Deserialize)]
struct Framed {
    prompt: String,
    ids: Vec<i64>,
    cut: Option<String>,
}

pub(crate) fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/text")
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A tokenizer folder of a configuration.
fn folder_of(golden: &Path, name: &str, files: &BTreeMap<String, Value>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut files = files.clone();
    match files.get_mut("tokenizer.json") {
        Some(saved) => {
            let merges = std::fs::read_to_string(golden.join("merges.txt")).unwrap();
            let merges = merges.lines().skip(1).map(|line| line.split(' ').collect());
            saved["model"]["merges"] = merges.collect::<Vec<Vec<_>>>().into();
            saved["model"]["vocab"] = read(&golden.join("vocab.json"));
        }
        None => {
            for file in ["vocab.json", "merges.txt"] {
                std::fs::copy(golden.join(file), folder.path().join(file)).unwrap();
            }
        }
    }
    for (file, content) in files {
        std::fs::write(folder.path().join(file), content.to_string()).unwrap();
    }
    assert_eq!(name == "saved", folder.path().join("tokenizer.json").exists());
    folder
}

/// A `tokenizer.json` as transformers 5 saves it.
pub(crate) fn saved() -> String {
    let golden: Golden = read(&golden_folder().join("ids.json"));
    let folder = folder_of(&golden_folder(), "saved", &golden.configs["saved"]);
    std::fs::read_to_string(folder.path().join("tokenizer.json")).unwrap()
}

/// The committed small vocabulary, with `!` to fill where `name` says so.
pub(crate) fn tokenizer(name: &str) -> Tokenizer {
    let golden: Golden = read(&golden_folder().join("ids.json"));
    Tokenizer::open(folder_of(&golden_folder(), name, &golden.configs[name]).path()).unwrap()
}

/// Words with the number of their vectors, and the ids of prompts with them, by diffusers.
pub(crate) fn learned() -> (Vec<(String, i64)>, Vec<(String, Vec<i64>)>) {
    let Learned { tokens, cases } = read::<Golden>(&golden_folder().join("ids.json")).learned;
    (tokens, cases.into_iter().map(|case| (case.prompt, case.ids)).collect())
}

fn agrees_with_transformers(folder: &Path) {
    let golden: Golden = read(&folder.join("ids.json"));
    assert!(golden.cases.len() > 150 && golden.configs.len() == 7, "the golden file is cut");
    let mut others = 0;
    for (name, files) in &golden.configs {
        let tokenizer = Tokenizer::open(folder_of(folder, name, files).path()).unwrap();
        for Case { prompt, ids, decoded, other } in &golden.cases {
            let expected = other.get(name).unwrap_or(ids);
            others += usize::from(expected != ids);
            assert_eq!(&tokenizer.ids(prompt).unwrap(), expected, "{name}: {prompt:?}");
            if name == "bare" {
                assert_eq!(&tokenizer.decode(ids).unwrap(), decoded, "{prompt:?}");
            }
        }
        for Framed { prompt, ids, cut } in golden.framed.get(name).into_iter().flatten() {
            let encoded = tokenizer.encode(prompt, PromptOptions::default()).unwrap();
            assert_eq!(&encoded.ids, ids, "{name}: {prompt:?}");
            assert_eq!(&encoded.cut, cut, "{name}: {prompt:?}");
        }
    }
    assert!(others > 20, "the configurations must differ");
}

#[test]
fn ids_are_those_of_transformers() {
    agrees_with_transformers(&golden_folder());
}

/// The vocabulary that comes with the crate is the one that everybody has.
#[test]
fn ids_of_clips_own_vocabulary_are_those_of_transformers() {
    let tokenizer = Tokenizer::clip().unwrap();
    let cases: Vec<Case> = read(&golden_folder().join("clip.json"));
    assert!(cases.len() > 150, "the golden file is cut");
    for Case { prompt, ids, .. } in cases {
        assert_eq!(tokenizer.ids(&prompt).unwrap(), ids, "{prompt:?}");
    }
}

/// Every configuration and thousands of random prompts. The folder is not committed: `make.py --full FOLDER` writes it.
#[test]
fn ids_of_a_full_folder_are_those_of_transformers() {
    match std::env::var_os("TWEEDIE_TOKENIZER_GOLDEN") {
        Some(folder) => agrees_with_transformers(Path::new(&folder)),
        None => eprintln!("left out: TWEEDIE_TOKENIZER_GOLDEN names no folder"),
    }
}

/// Their prompts are in the golden pipelines; here, that each folder's vocabulary is found whole.
#[test]
fn tokenizers_of_pipelines_open() {
    let mut found = 0;
    for pipeline in PIPELINES {
        for part in ["tokenizer", "tokenizer_2"] {
            let folder = golden(pipeline).join(part);
            if folder.exists() {
                let tokenizer = Tokenizer::open(&folder).unwrap();
                assert_eq!(tokenizer.max_length(), 77, "{pipeline}/{part}");
                found += 1;
            }
        }
    }
    assert!(found >= PIPELINES.len());
}
