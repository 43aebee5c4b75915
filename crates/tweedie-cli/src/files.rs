//! Output files are written whole or not at all.

use crate::output::usage;
use anyhow::{Context, Result, anyhow};
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// How the names of files begin that are not whole yet.
pub(crate) const UNNAMED: &str = ".tweedie-";

/// A file that appears under its name only once it is whole.
///
/// Made before the work begins, so that a path that cannot be written is told at once and not
/// after an hour; what stood there before stays until the new file is complete. Between the two
/// nothing lies beside it, which a signal could leave there.
pub(crate) struct OutputFile {
    path: PathBuf,
}

impl OutputFile {
    /// Sees that a file can be made beside `path`.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let shown = path.display();
        if path.is_dir() {
            return Err(usage(format!("{shown} is a folder, expected the name of a file")));
        }
        temporary(path)?;
        Ok(OutputFile { path: path.to_owned() })
    }

    /// Writes `bytes` and gives the file its name.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<()> {
        let fail = || format!("cannot write {}", self.path.display());
        let mut temporary = temporary(&self.path)?;
        // Its own errors would show the name that nobody has asked for.
        temporary.as_file_mut().write_all(bytes).with_context(fail)?;
        set_readable(&temporary).with_context(fail)?;
        temporary.as_file().sync_all().with_context(fail)?;
        temporary.persist(&self.path).map_err(|e| e.error).with_context(fail)?;
        Ok(())
    }
}

/// A file without a name of its own beside `path`.
fn temporary(path: &Path) -> Result<NamedTempFile> {
    let shown = path.display();
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let made = tempfile::Builder::new().prefix(UNNAMED).tempfile_in(folder);
    made.map_err(|err| match folder.is_dir() {
        false => anyhow!("cannot write {shown}: there is no folder {}", folder.display()),
        // What the system said, without the name that nobody has asked for.
        true => match err.get_ref().and_then(std::error::Error::source) {
            Some(said) => anyhow!("cannot write {shown}: {said}"),
            None => anyhow!("cannot write {shown}: {err}"),
        },
    })
}

/// Temporary files are private; what the user asked for is as readable as any new file.
fn set_readable(file: &NamedTempFile) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))
}

/// The extension of `path` in lower case, `""` if it has none.
pub(crate) fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_file_stays_until_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "old").unwrap();
        drop(OutputFile::create(&path).unwrap());
        let waiting = OutputFile::create(&path).unwrap();
        let beside = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(beside, 1, "nothing for a signal to leave behind");
        drop(waiting);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        OutputFile::create(&path).unwrap().write(b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let Err(err) = OutputFile::create(Path::new("/nowhere/a.png")) else {
            panic!("created a file in a folder that does not exist");
        };
        let said = format!("{err:#}");
        assert_eq!(said, "cannot write /nowhere/a.png: there is no folder /nowhere");
    }
}
