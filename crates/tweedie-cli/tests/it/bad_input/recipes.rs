//! Recipe files that are none.

use super::refused;
use std::path::Path;

/// The text of `bad.toml`, the exit code, and words that must be said.
type Row = (&'static str, &'static [u8], i32, &'static [&'static str]);

const ROWS: &[Row] = &[
    ("empty", b"", 2, &["bad.toml", "steps", "missing"]),
    ("an unknown key", b"stpes = 5", 2, &["bad.toml", "`stpes`", "did you mean `steps`?"]),
    ("a list for a number", b"steps = [1]", 2, &["bad.toml", "`steps`", "whole number"]),
    ("text for a number", b"lr = 'fast'\nsteps = 1", 2, &["bad.toml", "`lr`", "a number"]),
    ("a number for a section", b"model = 3", 2, &["bad.toml", "`model`", "section"]),
    ("negative steps", b"steps = -5", 2, &["bad.toml", "`steps` is -5"]),
    ("a number that no integer holds", b"steps = 99999999999999999999", 2, &["bad.toml", "line 1"]),
    ("one key twice", b"steps = 1\nsteps = 2", 2, &["bad.toml", "line 2", "duplicate"]),
    ("no TOML", b"a = 1\nb = = 2", 2, &["bad.toml, line 2", "not TOML"]),
    ("no text", b"\xff\xfe\x00s", 1, &["bad.toml", "UTF-8"]),
];

#[test]
fn recipe_files() {
    for (what, bytes, code, words) in ROWS {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("bad.toml"), bytes).unwrap();
        eprintln!("{what}");
        refused(folder.path(), "train bad.toml --run run", *code, words);
        assert!(!folder.path().join("run").exists(), "{what}: there is a folder");
    }
}

/// A device never ends, and a recipe of 100 MB is something else: neither is read whole.
#[test]
fn a_file_without_end_is_no_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let large = std::fs::File::create(folder.path().join("large.toml")).unwrap();
    large.set_len(100 << 20).unwrap();
    refused(folder.path(), "train large.toml", 1, &["large.toml", "more than 1048576 bytes"]);
    if Path::new("/dev/zero").exists() {
        refused(folder.path(), "train /dev/zero", 1, &["/dev/zero", "more than 1048576 bytes"]);
    }
    std::fs::create_dir(folder.path().join("folder.toml")).unwrap();
    refused(folder.path(), "train folder.toml", 1, &["folder.toml"]);
}
