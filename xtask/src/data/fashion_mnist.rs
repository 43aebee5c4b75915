//! Fashion-MNIST (Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747; MIT licence):
//! four gzipped IDX files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::debian;
use super::idx::{self, Expected};
use super::source::{Source, get};
use crate::workspace;

const PACKAGE: &str = "dataset-fashion-mnist";

const FILES: [Expected; 4] = [
    Expected { name: "train-images-idx3-ubyte.gz", shape: &[60_000, 28, 28] },
    Expected { name: "train-labels-idx1-ubyte.gz", shape: &[60_000] },
    Expected { name: "t10k-images-idx3-ubyte.gz", shape: &[10_000, 28, 28] },
    Expected { name: "t10k-labels-idx1-ubyte.gz", shape: &[10_000] },
];

/// Puts the four files into place, checked; does nothing where they are.
///
/// # Errors
/// When they are not to be had, or are not Fashion-MNIST.
pub(crate) fn run(from: Option<&str>, to: Option<&Path>) -> Result<()> {
    let folder = match to {
        Some(to) => std::path::absolute(to)?,
        None => workspace::root().join("data/fashion-mnist"),
    };
    if from.is_none() && FILES.iter().all(|file| idx::check(&folder.join(file.name), file).is_ok())
    {
        println!("Fashion-MNIST is in {}", workspace::short(&folder));
        return Ok(());
    }
    let source = Source::parse(from)?;
    fs::create_dir_all(&folder)
        .with_context(|| format!("could not make the folder {}", folder.display()))?;
    // Beside the place they go to, so that they can be moved there whole.
    let scratch = tempfile::tempdir_in(&folder)
        .with_context(|| format!("could not write into {}", folder.display()))?;
    let files = gather(&source, scratch.path())?;
    for (path, expected) in files.iter().zip(&FILES) {
        idx::check(path, expected)?;
    }
    for (path, expected) in files.iter().zip(&FILES) {
        let target = folder.join(expected.name);
        fs::rename(path, &target)
            .with_context(|| format!("could not write {}", target.display()))?;
    }
    println!("Fashion-MNIST is in {}", workspace::short(&folder));
    Ok(())
}

/// The four files in a scratch folder, in order.
fn gather(source: &Source, scratch: &Path) -> Result<Vec<PathBuf>> {
    let wanted = |name: &str| FILES.iter().any(|file| file.name == name);
    match source {
        Source::Debian => {
            eprintln!("downloading Debian's package {PACKAGE}");
            let package = debian::download(PACKAGE, scratch).context(
                "Debian's package is not to be had here: give the four .gz files with --from \
                 DIR or --from URL",
            )?;
            debian::unpack(&package, scratch, &wanted)?;
        }
        Source::Package(package) => {
            debian::unpack(package, scratch, &wanted)?;
        }
        Source::Folder(folder) => {
            for file in &FILES {
                let from = folder.join(file.name);
                fs::copy(&from, scratch.join(file.name))
                    .with_context(|| format!("could not copy {}", from.display()))?;
            }
        }
        Source::Address(address) => {
            for file in &FILES {
                eprintln!("fetching {}", file.name);
                get(&format!("{address}/{}", file.name), &scratch.join(file.name))?;
            }
        }
    }
    Ok(FILES.iter().map(|file| scratch.join(file.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_file_leaves_the_place_as_it_was() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for file in &FILES {
            fs::write(from.path().join(file.name), "not gzip").unwrap();
        }
        let old = to.path().join(FILES[0].name);
        fs::write(&old, "what was there").unwrap();
        let error = run(from.path().to_str(), Some(to.path())).unwrap_err();
        assert!(format!("{error:#}").contains(FILES[0].name), "{error:#}");
        assert_eq!(fs::read_to_string(old).unwrap(), "what was there");
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_file_is_named() {
        let folders = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let error = run(folders.0.path().to_str(), Some(folders.1.path())).unwrap_err();
        assert!(format!("{error:#}").contains("train-images-idx3-ubyte.gz"), "{error:#}");
    }
}
