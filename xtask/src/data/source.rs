//! Where a data set's files come from.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// A place that a user may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Debian's package, through `apt-get`.
    Debian,
    /// A package that is there already.
    Package(PathBuf),
    /// A folder with the files.
    Folder(PathBuf),
    /// An address; the files' names are appended to it.
    Address(String),
}

impl Source {
    /// What the user has typed.
    ///
    /// # Errors
    /// When it is neither an address nor anything on the disk.
    pub(crate) fn parse(from: Option<&str>) -> Result<Self> {
        let Some(from) = from else { return Ok(Self::Debian) };
        if ["http://", "https://", "ftp://"].iter().any(|scheme| from.starts_with(scheme)) {
            return Ok(Self::Address(from.trim_end_matches('/').to_owned()));
        }
        let path = std::path::absolute(from)?;
        if path.is_dir() {
            return Ok(Self::Folder(path));
        }
        if path.is_file() && path.extension().is_some_and(|end| end == "deb") {
            return Ok(Self::Package(path));
        }
        bail!("--from {from} is neither a folder, a .deb file nor an address with http or https")
    }
}

/// Fetches one address to a file, with curl or wget, whichever is there.
///
/// # Errors
/// When neither is, or the address does not answer.
pub(crate) fn get(address: &str, to: &Path) -> Result<()> {
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--location", "--silent", "--show-error", "--output"])
        .arg(to)
        .arg(address);
    let mut wget = Command::new("wget");
    wget.args(["--no-verbose", "--output-document"]).arg(to).arg(address);
    for mut command in [curl, wget] {
        let there = Command::new(command.get_program())
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .is_ok_and(|output| output.status.success());
        if there {
            return workspace::capture(&mut command)
                .map(drop)
                .with_context(|| format!("could not fetch {address}"));
        }
    }
    bail!("neither curl nor wget is here to fetch {address}: install one, or give a folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let deb = folder.path().join("x.deb");
        std::fs::write(&deb, "").unwrap();
        let parse = |from: &str| Source::parse(Some(from));
        assert_eq!(Source::parse(None).unwrap(), Source::Debian);
        let address = Source::Address("https://example.org/f".into());
        assert_eq!(parse("https://example.org/f/").unwrap(), address);
        let text = folder.path().display().to_string();
        assert_eq!(parse(&text).unwrap(), Source::Folder(folder.path().into()));
        assert_eq!(parse(&deb.display().to_string()).unwrap(), Source::Package(deb));
        assert!(parse("no/such/folder").unwrap_err().to_string().contains("no/such/folder"));
    }
}
