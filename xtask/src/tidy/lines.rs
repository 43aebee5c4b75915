//! Small files, one idea each.

use anyhow::Result;

use super::{Complaint, Tree};

/// Beyond this a file holds more than one idea.
const MOST: usize = 600;

/// Complains of Rust files that are too long (tests included).
pub(crate) fn check(tree: &Tree) -> Result<Vec<Complaint>> {
    let rust = tree.texts().filter(|(file, _)| file.extension().is_some_and(|end| end == "rs"));
    let long = rust.filter_map(|(file, text)| {
        let lines = text.lines().count();
        (lines > MOST)
            .then(|| format!("{} has {lines} lines, more than {MOST}: split it", file.display()))
    });
    Ok(long.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for (name, lines) in [("short.rs", MOST), ("long.rs", MOST + 1), ("long.md", 2 * MOST)] {
            std::fs::write(folder.path().join(name), "//\n".repeat(lines)).unwrap();
        }
        let tree = Tree::of_files(folder.path(), &["short.rs", "long.rs", "long.md"]);
        let complaints = check(&tree).unwrap();
        assert_eq!(complaints, ["long.rs has 601 lines, more than 600: split it"]);
    }
}
