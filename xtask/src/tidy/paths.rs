//! Nothing that is committed knows the machine it was written on.

use std::env;

use anyhow::Result;

use super::{Complaint, Tree};

/// Complains of absolute paths into somebody's home folder or this checkout.
pub(crate) fn check(tree: &Tree) -> Result<Vec<Complaint>> {
    let here = tree.root.canonicalize()?.display().to_string();
    let home = env::var("HOME").unwrap_or_default();
    // In pieces, or this file would find itself.
    let mut needles: Vec<String> =
        ["home", "Users", "root"].iter().map(|folder| format!("/{folder}/")).collect();
    needles.extend([here, home].into_iter().filter(|path| path.matches('/').count() > 1));
    let mut complaints = Vec::new();
    for (file, text) in tree.texts() {
        for (number, line) in text.lines().enumerate() {
            if let Some(needle) = needles.iter().find(|needle| starts_path(line, needle)) {
                let place = format!("{}:{}", file.display(), number + 1);
                complaints.push(format!("{place} names a path of one machine ({needle}…)"));
            }
        }
    }
    Ok(complaints)
}

/// Whether an absolute path in the line begins with the needle.
fn starts_path(line: &str, needle: &str) -> bool {
    line.match_indices(needle).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        // `https://host/home/` and `${HOME}/root/` are no absolute paths.
        before.is_none_or(|c| c.is_whitespace() || "\"'`(=:,[<".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_paths_are_found_where_they_begin() {
        let folder = tempfile::tempdir().unwrap();
        let [home, users] = ["home", "Users"].map(|name| format!("/{name}/"));
        let text = format!(
            "data = \"{home}ada/data\"\nsee https://host{home}page\n$HERE{users}x\nDIR={users}x\n"
        );
        std::fs::write(folder.path().join("a.md"), text).unwrap();
        let tree = Tree::of_files(folder.path(), &["a.md"]);
        let complaints = check(&tree).unwrap();
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert!(complaints[0].starts_with("a.md:1 ") && complaints[1].starts_with("a.md:4 "));
    }
}
