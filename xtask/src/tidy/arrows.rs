//! Dependencies point one way, and nothing lower knows anything higher.

use std::fs;

use anyhow::Result;

use super::tree::Package;
use super::{Complaint, Tree};

/// Each crate with the crates of the workspace that it may use. What is not
/// listed may use anything (the umbrella, the program, examples, benches).
const ARROWS: &[(&str, &[&str])] = &[
    ("tweedie-schedules", &[]),
    ("tweedie-torch", &[]),
    ("tweedie-core", &["tweedie-schedules", "tweedie-torch"]),
    ("tweedie-samplers", &["tweedie-schedules", "tweedie-torch", "tweedie-core"]),
    ("tweedie-data", &["tweedie-torch", "tweedie-core"]),
    ("tweedie-models", &["tweedie-schedules", "tweedie-torch", "tweedie-core"]),
    (
        "tweedie-train",
        &["tweedie-schedules", "tweedie-torch", "tweedie-core", "tweedie-data", "tweedie-models"],
    ),
    ("tweedie-eval", &["tweedie-torch", "tweedie-core", "tweedie-data"]),
    (
        "tweedie-analytic",
        &["tweedie-schedules", "tweedie-torch", "tweedie-core", "tweedie-samplers", "tweedie-data"],
    ),
    (
        "tweedie-flow",
        &["tweedie-schedules", "tweedie-torch", "tweedie-core", "tweedie-models", "tweedie-data"],
    ),
    (
        "tweedie-sd",
        &[
            "tweedie-schedules",
            "tweedie-torch",
            "tweedie-core",
            "tweedie-samplers",
            "tweedie-models",
        ],
    ),
    ("xtask", &[]),
];

/// Crates that must build where there is no libtorch.
const WITHOUT_TORCH: &[&str] = &["tweedie-schedules", "xtask"];

/// Complains of arrows that point the wrong way, and of crates without a README
/// or a crate-level page.
pub(crate) fn check(tree: &Tree) -> Result<Vec<Complaint>> {
    let mut complaints = Vec::new();
    for package in tree.members() {
        complaints.extend(wrong_way(package));
        if package.is_published() {
            complaints.extend(unexplained(package));
        }
    }
    Ok(complaints)
}

fn wrong_way(package: &Package) -> Vec<Complaint> {
    let normal = package.dependencies.iter().filter(|dep| dep.kind.as_deref() != Some("dev"));
    let mut complaints = Vec::new();
    for dependency in normal {
        let name = dependency.name.as_str();
        if WITHOUT_TORCH.contains(&package.name.as_str()) && ["tch", "torch-sys"].contains(&name) {
            complaints
                .push(format!("{} must build without libtorch, but uses {name}", package.name));
        }
        let allowed = ARROWS.iter().find(|(crate_, _)| *crate_ == package.name);
        let ours = name == "tweedie" || name.starts_with("tweedie-");
        if ours && allowed.is_some_and(|(_, allowed)| !allowed.contains(&name)) {
            complaints.push(format!("{} must not use {name}", package.name));
        }
    }
    complaints
}

fn unexplained(package: &Package) -> Vec<Complaint> {
    let folder = package.folder();
    let mut complaints = Vec::new();
    if !folder.join("README.md").is_file() {
        complaints.push(format!("{} has no README.md", package.name));
    }
    let page = ["src/lib.rs", "src/main.rs"]
        .iter()
        .filter_map(|name| fs::read_to_string(folder.join(name)).ok())
        .all(|text| text.starts_with("//!") || text.starts_with("#![doc"));
    if !page {
        complaints.push(format!("{} does not begin by saying what it is (//!)", package.name));
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(|(name, kind)| serde_json::json!({"name": name, "kind": kind}))
            .collect();
        serde_json::from_value(serde_json::json!({
            "id": name, "name": name, "version": "0.1.0", "license": null, "source": null,
            "publish": null, "manifest_path": "/x/Cargo.toml", "dependencies": dependencies,
        }))
        .unwrap()
    }

    #[test]
    fn arrows_the_wrong_way_are_named() {
        let core = package("tweedie-core", &[("tweedie-schedules", None), ("tweedie-train", None)]);
        assert_eq!(wrong_way(&core), ["tweedie-core must not use tweedie-train"]);
        let schedules = package("tweedie-schedules", &[("tch", Some("build"))]);
        assert_eq!(wrong_way(&schedules).len(), 1);
        let with_dev = package("tweedie-core", &[("tweedie-samplers", Some("dev"))]);
        assert!(wrong_way(&with_dev).is_empty());
        assert!(wrong_way(&package("tweedie-cli", &[("tweedie", None)])).is_empty());
    }

    #[test]
    fn the_arrows_have_no_circle() {
        for (name, uses) in ARROWS {
            for used in *uses {
                let back = ARROWS.iter().find(|(other, _)| other == used).map(|(_, uses)| *uses);
                assert!(!back.unwrap_or_default().contains(name), "{name} and {used}");
            }
        }
    }
}
