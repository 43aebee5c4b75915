//! What the checks look at: the files git knows, and what cargo knows of the crates.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::workspace;

/// The workspace as git and cargo see it.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Its root.
    pub(crate) root: PathBuf,
    /// Every file that is, or would be, committed, relative to the root.
    pub(crate) files: Vec<PathBuf>,
    /// Every package of the lock file.
    pub(crate) packages: Vec<Package>,
    members: Vec<String>,
}

/// A package, as `cargo metadata` tells it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    id: String,
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its licence expression.
    pub(crate) license: Option<String>,
    /// Where it comes from; none for the workspace's own.
    pub(crate) source: Option<String>,
    /// An empty list when it is never published.
    pub(crate) publish: Option<Vec<String>>,
    /// Its `Cargo.toml`.
    pub(crate) manifest_path: PathBuf,
    /// What it depends on.
    pub(crate) dependencies: Vec<Dependency>,
}

/// A line of a package's dependencies.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    /// The other package.
    pub(crate) name: String,
    /// `dev`, `build`, or none for a normal one.
    pub(crate) kind: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
}

impl Tree {
    /// Asks git and cargo.
    ///
    /// # Errors
    /// When either cannot tell.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut git = Command::new("git");
        git.current_dir(root);
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let listed = workspace::capture(&mut git)?;
        let files = listed.split('\0').map(PathBuf::from);
        let files = files.filter(|file| root.join(file).is_file()).collect();
        let mut cargo = workspace::cargo();
        cargo.current_dir(root).args(["metadata", "--format-version", "1", "--locked"]);
        let text = workspace::capture(&mut cargo)?;
        let metadata: Metadata =
            serde_json::from_str(&text).context("cargo metadata is not as expected")?;
        Ok(Self {
            root: root.to_path_buf(),
            files,
            packages: metadata.packages,
            members: metadata.workspace_members,
        })
    }

    /// The packages of the workspace itself.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.members.contains(&package.id))
    }

    /// The committed files that are text, with their text.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&Path, String)> {
        self.files.iter().filter_map(|file| {
            let text = std::fs::read_to_string(self.root.join(file)).ok()?;
            Some((file.as_path(), text))
        })
    }

    #[cfg(test)]
    pub(crate) fn of_files(root: &Path, files: &[&str]) -> Self {
        let files = files.iter().map(PathBuf::from).collect();
        Self { root: root.to_path_buf(), files, packages: Vec::new(), members: Vec::new() }
    }
}

impl Package {
    /// Whether it goes to the registry.
    pub(crate) fn is_published(&self) -> bool {
        self.publish.as_ref().is_none_or(|registries| !registries.is_empty())
    }

    /// The folder it is in.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_is_read() {
        let tree = Tree::read(&workspace::root()).unwrap();
        let names: Vec<_> = tree.members().map(|package| package.name.as_str()).collect();
        assert!(names.contains(&"xtask") && names.contains(&"tweedie-schedules"), "{names:?}");
        assert!(tree.files.contains(&PathBuf::from("Cargo.toml")));
        assert!(!tree.files.iter().any(|file| file.starts_with("target")));
        assert!(tree.members().all(|package| package.folder().exists()));
    }
}
