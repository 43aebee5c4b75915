//! Dependencies that tweedie's users may use as they may use tweedie.

use std::collections::BTreeMap;

use anyhow::Result;

use super::tree::Package;
use super::{Complaint, Tree};

/// Licences that ask for no more than to be named.
const ALLOWED: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    // Of data: the root certificates of webpki-roots.
    "CDLA-Permissive-2.0",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "0BSD",
    "bzip2-1.0.6",
    // File by file, and only where the files themselves are changed.
    "MPL-2.0",
];

/// Crates of which two versions would mean two libtorches.
const ONCE: &[&str] = &["tch", "torch-sys"];

/// Complains of licences, of sources other than the registry, and of a second libtorch.
pub(crate) fn check(tree: &Tree) -> Result<Vec<Complaint>> {
    let mut complaints = Vec::new();
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for package in &tree.packages {
        complaints.extend(licence(package));
        *versions.entry(&package.name).or_default() += 1;
        let source = package.source.as_deref().unwrap_or("registry+");
        if !source.starts_with("registry+") {
            complaints.push(format!("{} comes from {source}, not from a registry", package.name));
        }
    }
    let twice = ONCE.iter().filter(|name| versions.get(*name).is_some_and(|&n| n > 1));
    complaints.extend(twice.map(|name| format!("there are two versions of {name}")));
    Ok(complaints)
}

fn licence(package: &Package) -> Option<Complaint> {
    let Package { name, version, license, .. } = package;
    match license {
        None => Some(format!("{name} {version} names no licence")),
        Some(text) if permits(text) => None,
        Some(text) => Some(format!("{name} {version} is under {text}")),
    }
}

/// Whether one of the alternatives asks only for what is allowed.
fn permits(expression: &str) -> bool {
    // `A/B` is the old way of writing `A OR B`.
    let plain = expression.replace('/', " OR ").replace(['(', ')'], " ");
    let allowed = |part: &str| ALLOWED.contains(&part.trim());
    // Without brackets, `A AND (B OR C)` reads as `A AND B OR C`; asking that
    // each AND has an allowed alternative is right for both ways of grouping
    // when all parts are allowed, and stricter than needed otherwise.
    if expression.contains('(') {
        return plain.split(" AND ").all(|part| part.split(" OR ").any(allowed));
    }
    plain.split(" OR ").any(|part| part.split(" AND ").all(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read() {
        for good in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "MIT/Apache-2.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "MIT AND BSD-3-Clause",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        ] {
            assert!(permits(good), "{good}");
        }
        for bad in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "(MIT OR ISC) AND AGPL-3.0", "LGPL-2.1"]
        {
            assert!(!permits(bad), "{bad}");
        }
    }
}
