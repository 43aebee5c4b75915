//! `cargo xtask tidy`: what the compiler does not check.
//!
//! Each check is a function from the workspace to a list of complaints, one
//! sentence each. All but the last, which is slow, are also a test, so that
//! `cargo test` keeps the workspace tidy.

mod arrows;
mod licences;
mod lines;
mod links;
mod packages;
mod paths;
mod tree;

use std::path::Path;

use anyhow::{Result, bail};

use crate::workspace;
use tree::Tree;

/// One thing that is not as it should be.
type Complaint = String;

/// A named check.
type Check = (&'static str, fn(&Tree) -> Result<Vec<Complaint>>);

const CHECKS: [Check; 6] = [
    ("file lengths", lines::check),
    ("crate arrows", arrows::check),
    ("machine paths", paths::check),
    ("links", links::check),
    ("licences", licences::check),
    ("packages", packages::check),
];

/// Runs every check and prints every complaint.
///
/// # Errors
/// When there is a complaint, or a check cannot be made.
pub(crate) fn run(root: Option<&Path>) -> Result<()> {
    let tree = Tree::read(root.unwrap_or(&workspace::root()))?;
    let mut count = 0;
    for (name, check) in CHECKS {
        let complaints = check(&tree)?;
        println!("{name}: {}", if complaints.is_empty() { "tidy" } else { "not tidy" });
        for complaint in &complaints {
            println!("  {complaint}");
        }
        count += complaints.len();
    }
    if count > 0 {
        bail!("{count} things are not tidy");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_is_tidy() {
        let tree = Tree::read(&workspace::root()).unwrap();
        for (name, check) in &CHECKS[..CHECKS.len() - 1] {
            assert_eq!(check(&tree).unwrap(), Vec::<Complaint>::new(), "{name}");
        }
    }
}
