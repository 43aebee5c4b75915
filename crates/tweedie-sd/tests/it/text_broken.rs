//! Tokenizer files that cannot be used: the error names the file.

use super::text_tokenizer::{golden_folder, saved};
use std::path::Path;
use tweedie_sd::text::{SpecialTokens, Tokenizer};

/// The error for a folder with the good files, changed.
fn error_of(change: impl Fn(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    for file in ["vocab.json", "merges.txt"] {
        std::fs::copy(golden_folder().join(file), folder.path().join(file)).unwrap();
    }
    Tokenizer::open(folder.path()).unwrap();
    change(folder.path());
    let error = Tokenizer::open(folder.path()).unwrap_err().to_string();
    assert!(error.starts_with(&*folder.path().to_string_lossy()), "{error}");
    error[folder.path().to_string_lossy().len()..].trim_start_matches('/').to_owned()
}

/// Cuts a file to a part of its bytes.
fn cut(folder: &Path, file: &str, keep: impl Fn(&[u8]) -> usize) {
    let bytes = std::fs::read(golden_folder().join(file)).unwrap();
    std::fs::write(folder.join(file), &bytes[..keep(&bytes)]).unwrap();
}

#[track_caller]
fn assert_says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

#[test]
fn cut_files_are_named() {
    for keep in [0, 1, 100, 10_000] {
        let error = error_of(|folder| cut(folder, "vocab.json", |_| keep));
        assert_says(&error, &["vocab.json: its JSON is broken", "cut off"]);
    }
    let whole = saved();
    for keep in [1, 100, 20_000] {
        let cut: String = whole.chars().take(keep).collect();
        let error = error_of(|folder| std::fs::write(folder.join("tokenizer.json"), &cut).unwrap());
        assert_says(&error, &["tokenizer.json: its JSON is broken", "cut off"]);
    }
    // In the middle of a line, at its end, and to nothing.
    let in_a_line = error_of(|folder| cut(folder, "merges.txt", |_| 16));
    assert_says(&in_a_line, &["merges.txt: line 2: a merge is \"i \"", "cut off"]);
    let at_its_end = |bytes: &[u8]| bytes[..3000].iter().rposition(|&b| b == b'\n').unwrap() + 1;
    let error = error_of(|folder| cut(folder, "merges.txt", at_its_end));
    assert_says(&error, &["merges.txt: ", "come from none of its", "cut off"]);
    assert_says(&error_of(|folder| cut(folder, "merges.txt", |_| 0)), &["merges.txt: 1000 tokens"]);
}

#[test]
fn garbled_files_are_named() {
    let write = |file: &'static str, text: &'static str| {
        error_of(move |folder| std::fs::write(folder.join(file), text).unwrap())
    };
    assert_says(&write("vocab.json", "[]"), &["vocab.json: its JSON is broken"]);
    assert_says(&write("vocab.json", r#"{"a": -1}"#), &["vocab.json: its JSON is broken", "-1"]);
    assert_says(&write("vocab.json", r#"{"a": 3000000000}"#), &["vocab.json: ", "less than 2^31"]);
    assert_says(&write("vocab.json", r#"{"a": 1, "b": 1}"#), &["vocab.json: ", "both have id 1"]);
    let other = write("vocab.json", r#"{"a": 0, "b": 1}"#);
    assert_says(&other, &["merges.txt: merge 1 (\"i\" with \"n\") needs token \"i\"", "lacks"]);
    assert_says(&write("merges.txt", "a b c\n"), &["merges.txt: line 1: a merge is \"a b c\""]);
    assert_says(&write("tokenizer.json", "{}"), &["tokenizer.json: it cannot be read", "model"]);
    let unigram = r#"{"model": {"type": "Unigram", "vocab": []}}"#;
    assert_says(&write("tokenizer.json", unigram), &["tokenizer.json: its model is Unigram"]);
    let class = write("tokenizer_config.json", r#"{"tokenizer_class": "T5Tokenizer"}"#);
    assert_says(&class, &["tokenizer_config.json: tokenizer_class is T5Tokenizer, expected CLIP"]);
    let short = write("tokenizer_config.json", r#"{"model_max_length": 2}"#);
    assert_says(&short, &["tokenizer_config.json: model_max_length is 2, expected at least 3"]);
    let token = write("tokenizer_config.json", r#"{"bos_token": {"text": "a"}}"#);
    assert_says(&token, &["tokenizer_config.json: its tokens cannot be read", "content"]);
    let map = write("special_tokens_map.json", "{");
    assert_says(&map, &["special_tokens_map.json: its JSON is broken"]);
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    for file in ["vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json"] {
        let error = error_of(|folder| std::fs::write(folder.join(file), b"\xff\xfe\x00").unwrap());
        assert_says(&error, &[file, "UTF-8"]);
    }
}

#[test]
fn missing_files_are_named() {
    let without = |files: &'static [&'static str]| {
        error_of(|folder| files.iter().for_each(|f| std::fs::remove_file(folder.join(f)).unwrap()))
    };
    assert_says(&without(&["vocab.json"]), &["vocab.json: No such file"]);
    assert_says(&without(&["merges.txt"]), &["merges.txt: No such file"]);
    let error = without(&["vocab.json", "merges.txt"]);
    assert_says(&error, &["it has no tokenizer: expected vocab.json and merges.txt"]);
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let vocab = |tokens: &[&str]| -> Vec<(String, u32)> {
        tokens.iter().zip(0..).map(|(token, id)| ((*token).to_owned(), id)).collect()
    };
    let merge = vec![("a".to_owned(), "b".to_owned())];
    let error = |vocab, merges| {
        Tokenizer::from_parts(vocab, merges, SpecialTokens::default()).unwrap_err().to_string()
    };
    assert_says(&error(vocab(&["a", "b"]), merge), &["the vocabulary is merge 1", "\"ab\""]);
    assert_says(&error(vocab(&["a", "b", "ab"]), vec![]), &["come from none of its 0 merges"]);
}

/// A symbol that a small vocabulary lacks is the unknown token.
#[test]
fn what_the_vocabulary_lacks_is_unknown() {
    let vocab = [("a</w>", 0), ("<|startoftext|>", 1), ("<|endoftext|>", 2)];
    let vocab = vocab.map(|(token, id)| (token.to_owned(), id));
    let tokenizer = Tokenizer::from_parts(vocab, vec![], SpecialTokens::default()).unwrap();
    assert_eq!(tokenizer.ids("a b").unwrap(), [0, 2]);
    let vocab = [("a</w>".to_owned(), 0)];
    let tokenizer = Tokenizer::from_parts(vocab, vec![], SpecialTokens::default()).unwrap();
    // The special tokens were added, but the unknown one stands for nothing in the vocabulary.
    let error = tokenizer.ids("b").unwrap_err().to_string();
    assert_says(&error, &["the prompt is \"b\"", "<|endoftext|>"]);
}
