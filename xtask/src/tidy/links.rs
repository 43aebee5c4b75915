//! Links between pages lead somewhere.

use std::path::Path;

use anyhow::Result;

use super::{Complaint, Tree};

/// Complains of relative links in Markdown whose file or heading is not there.
pub(crate) fn check(tree: &Tree) -> Result<Vec<Complaint>> {
    let pages = tree.texts().filter(|(file, _)| file.extension().is_some_and(|end| end == "md"));
    let mut complaints = Vec::new();
    for (file, text) in pages {
        for (number, target) in links(&text) {
            if let Some(why) = broken(&tree.root.join(file), target) {
                complaints.push(format!("{}:{number} links to {target}: {why}", file.display()));
            }
        }
    }
    Ok(complaints)
}

/// Targets of `[text](target)` outside code, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut code = false;
    for (number, line) in text.lines().enumerate() {
        code ^= line.trim_start().starts_with("```");
        if code {
            continue;
        }
        // Between backticks every second piece is code.
        for piece in line.split('`').step_by(2) {
            for (at, _) in piece.match_indices("](") {
                let rest = &piece[at + 2..];
                if let Some((target, _)) = rest.split_once(')') {
                    let target = target.split_whitespace().next().unwrap_or_default();
                    found.push((number + 1, target));
                }
            }
        }
    }
    found
}

/// Why a link leads nowhere; addresses outside are not asked.
fn broken(page: &Path, target: &str) -> Option<&'static str> {
    let outside = target.contains("://") || target.starts_with("mailto:");
    // Rustdoc resolves paths of items in the READMEs that crates include.
    let item = target.contains("::") || target.is_empty();
    if outside || item {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let file = match path {
        "" => page.to_path_buf(),
        _ => page.parent().unwrap_or(Path::new(".")).join(path),
    };
    if !file.exists() {
        return Some("there is no such file");
    }
    let is_page = file.extension().is_some_and(|end| end == "md");
    if heading.is_empty() || !is_page {
        return None;
    }
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let there = text.lines().filter(|line| line.starts_with('#')).any(|line| slug(line) == heading);
    (!there).then_some("there is no such heading")
}

/// A heading as it stands after `#` in an address.
fn slug(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_are_named_and_live_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("b.md", "# How to add a schedule\n");
        write(
            "a.md",
            "[good](b.md) [heading](b.md#how-to-add-a-schedule) [out](https://x.org/y)\n\
             [dead](c.md) `[code](d.md)`\n[no heading](b.md#nothing)\n```\n[code](e.md)\n```\n",
        );
        let tree = Tree::of_files(folder.path(), &["a.md", "b.md"]);
        let complaints = check(&tree).unwrap();
        assert_eq!(
            complaints,
            [
                "a.md:2 links to c.md: there is no such file",
                "a.md:3 links to b.md#nothing: there is no such heading",
            ]
        );
    }
}
