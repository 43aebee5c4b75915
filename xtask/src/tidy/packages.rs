//! What `cargo package` would put into each crate's archive.

use anyhow::Result;

use super::tree::Package;
use super::{Complaint, Tree};
use crate::workspace;

/// The registry takes 10 MB packed; a library of ours needs far less.
const MOST_BYTES: u64 = 4_500_000;

/// Endings that have no place in a published crate.
const STRAY: &[&str] = &["pyc", "rej", "swp", "profraw", "log", "pt", "pickle"];

/// Complains of what is missing from, or has no place in, each published crate.
pub(crate) fn check(tree: &Tree) -> Result<Vec<Complaint>> {
    let mut complaints = Vec::new();
    for package in tree.members().filter(|package| package.is_published()) {
        let mut cargo = workspace::cargo();
        cargo.current_dir(&tree.root);
        cargo.args(["package", "--list", "--allow-dirty", "--package", &package.name]);
        let listed = workspace::capture(&mut cargo)?;
        let size = |file: &str| {
            std::fs::metadata(package.folder().join(file)).map_or(0, |meta| meta.len())
        };
        complaints.extend(complain(package, &listed, &size));
    }
    Ok(complaints)
}

fn complain(package: &Package, listed: &str, size: &dyn Fn(&str) -> u64) -> Vec<Complaint> {
    let name = &package.name;
    let mut complaints = Vec::new();
    if !listed.lines().any(|file| file == "README.md") {
        complaints.push(format!("{name}: the package has no README.md"));
    }
    for file in listed.lines() {
        let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
        if STRAY.contains(&ending) || file.contains("__pycache__") {
            complaints.push(format!("{name}: {file} has no place in a package"));
        }
    }
    let total: u64 = listed.lines().map(size).sum();
    if total > MOST_BYTES {
        complaints.push(format!("{name}: the package holds {total} bytes, more than {MOST_BYTES}"));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Package {
        serde_json::from_value(serde_json::json!({
            "id": "x", "name": "x", "version": "0.1.0", "license": null, "source": null,
            "publish": null, "manifest_path": "/x/Cargo.toml", "dependencies": [],
        }))
        .unwrap()
    }

    #[test]
    fn missing_stray_and_large_files_are_named() {
        let listed = "Cargo.toml\nsrc/lib.rs\ntests/__pycache__/make.pyc\n";
        let complaints = complain(&package(), listed, &|_| MOST_BYTES / 2);
        assert_eq!(complaints.len(), 3, "{complaints:?}");
        assert!(complain(&package(), "README.md\nsrc/lib.rs\n", &|_| 10).is_empty());
    }
}
