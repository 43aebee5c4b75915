//! Every way to ask for what cannot be: exit code, one clear line, nothing lost.
//!
//! Each file is a table: [`typed`] (command lines), [`recipes`] (files of settings), [`runs`]
//! (folders of runs), [`images`] (IDX files), [`draw`] (Stable Diffusion), [`disks`] (those that are
//! full) and [`memory`].

mod disks;
mod draw;
mod images;
mod memory;
mod recipes;
mod runs;
mod typed;

use crate::support::tweedie;
use std::path::Path;

/// The command fails with this exit code and one line that has these words; returns the line.
fn refused(folder: &Path, typed: &str, code: i32, words: &[&str]) -> String {
    let output = tweedie(folder).args(typed.split_whitespace()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "tweedie {typed}\n{said}");
    assert!(output.stdout.is_empty(), "tweedie {typed} wrote to stdout");
    for word in words {
        assert!(said.contains(word), "tweedie {typed}: no {word:?} in\n{said}");
    }
    assert!(!said.contains("panicked") && !said.contains("frame #"), "tweedie {typed}\n{said}");
    // clap adds lines on usage of its own; all else is one line, besides the progress.
    if code == 1 {
        let lines = said.lines().filter(|l| l.starts_with("tweedie: ")).count();
        assert_eq!(lines, 1, "tweedie {typed}\n{said}");
    }
    said
}
