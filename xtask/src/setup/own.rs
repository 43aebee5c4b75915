//! The user's own libtorch, which is used as it is when its version fits.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::platform::{LIBTORCH_VERSION, VERSION_HEADER};
use crate::workspace;

/// A libtorch that the user has named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Own {
    /// The variable that names it.
    pub(crate) variable: &'static str,
    /// The folder with `lib/` and `include/`.
    pub(crate) folder: PathBuf,
    /// Its version, without a suffix such as `+cpu`.
    pub(crate) version: String,
}

/// What the environment names, in the order in which torch-sys asks.
///
/// # Errors
/// When what it names is not there, or says nothing of its version.
pub(crate) fn find() -> Result<Option<Own>> {
    if env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        return of_python().map(Some);
    }
    let Some(folder) = workspace::own_libtorch() else { return Ok(None) };
    let version = version_of(&folder).with_context(|| {
        format!("LIBTORCH is {}, which should be the folder of a libtorch", folder.display())
    })?;
    Ok(Some(Own { variable: "LIBTORCH", folder, version }))
}

impl Own {
    /// Refuses a version that `tch` was not made for.
    ///
    /// # Errors
    /// Naming the version that was found and the one that is expected.
    pub(crate) fn check(&self) -> Result<()> {
        let Self { variable, folder, version } = self;
        if version == LIBTORCH_VERSION || env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_some() {
            return Ok(());
        }
        bail!(
            "{variable} names libtorch {version} in {}, but {LIBTORCH_VERSION} is expected: \
             unset {variable} to have the right one assembled, or point it to one",
            folder.display()
        )
    }
}

fn of_python() -> Result<Own> {
    let python = if env::var_os("VIRTUAL_ENV").is_some() { "python" } else { "python3" };
    let script =
        "import os, torch; print(torch.__version__); print(os.path.dirname(torch.__file__))";
    let mut command = Command::new(python);
    command.args(["-W", "ignore", "-c", script]).stdin(Stdio::null());
    let output = command
        .output()
        .with_context(|| format!("LIBTORCH_USE_PYTORCH is set, but {python} was not found"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let last = complaint.lines().last().unwrap_or_default().trim().to_owned();
        bail!(
            "LIBTORCH_USE_PYTORCH is set, but {python} cannot import torch ({last}): install \
             torch=={LIBTORCH_VERSION} into that Python, or unset the variable"
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let (Some(version), Some(folder)) = (lines.next(), lines.next()) else {
        bail!("LIBTORCH_USE_PYTORCH is set, but {python} says nothing of its torch")
    };
    Ok(Own {
        variable: "LIBTORCH_USE_PYTORCH",
        folder: folder.into(),
        version: plain(version).to_owned(),
    })
}

/// The version of the libtorch in a folder, from its own files.
///
/// # Errors
/// When the folder holds no libtorch, or one that does not say.
pub(crate) fn version_of(folder: &Path) -> Result<String> {
    let library = if cfg!(target_os = "macos") { "libtorch_cpu.dylib" } else { "libtorch_cpu.so" };
    let lib = env::var_os("LIBTORCH_LIB").map_or_else(|| folder.to_path_buf(), PathBuf::from);
    if !lib.join("lib").join(library).exists() {
        bail!("there is no lib/{library} in {}", lib.display());
    }
    if let Ok(text) = fs::read_to_string(folder.join("build-version")) {
        return Ok(plain(&text).to_owned());
    }
    let include =
        env::var_os("LIBTORCH_INCLUDE").map_or_else(|| folder.to_path_buf(), PathBuf::from);
    let headers = [VERSION_HEADER, "include/torch/csrc/api/include/torch/version.h"];
    headers
        .iter()
        .filter_map(|header| fs::read_to_string(include.join(header)).ok())
        .find_map(|text| parse(&text))
        .with_context(|| format!("no header in {} says its version", include.display()))
}

/// Major, minor and patch out of `version.h`.
fn parse(header: &str) -> Option<String> {
    let number = |name: &str| {
        header.lines().find_map(|line| {
            let mut words = line.strip_prefix("#define ")?.split_whitespace();
            (words.next()? == name).then(|| words.next()?.parse::<u32>().ok())?
        })
    };
    let [major, minor, patch] =
        ["MAJOR", "MINOR", "PATCH"].map(|part| number(&format!("TORCH_VERSION_{part}")));
    Some(format!("{}.{}.{}", major?, minor?, patch?))
}

/// A version without its local suffix.
fn plain(version: &str) -> &str {
    version.trim().split('+').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "#pragma once\n#define TORCH_VERSION_MAJOR 2\n\
        #define TORCH_VERSION_MINOR 9\n#define TORCH_VERSION_PATCH 1\n#define TORCH_VERSION \\\n";

    fn libtorch() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let header = folder.path().join(VERSION_HEADER);
        fs::create_dir_all(header.parent().unwrap()).unwrap();
        fs::write(header, HEADER).unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("lib/libtorch_cpu.so"), "").unwrap();
        fs::write(folder.path().join("lib/libtorch_cpu.dylib"), "").unwrap();
        folder
    }

    #[test]
    fn the_version_is_read_from_headers_or_the_version_file() {
        let folder = libtorch();
        assert_eq!(version_of(folder.path()).unwrap(), "2.9.1");
        fs::write(folder.path().join("build-version"), "2.13.0+cpu\n").unwrap();
        assert_eq!(version_of(folder.path()).unwrap(), "2.13.0");
    }

    #[test]
    fn a_folder_without_libtorch_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let error = version_of(folder.path()).unwrap_err().to_string();
        assert!(error.starts_with("there is no lib/libtorch_cpu."), "{error}");
    }

    #[test]
    fn a_version_that_does_not_fit_is_named_with_the_one_expected() {
        let own =
            Own { variable: "LIBTORCH", folder: "/opt/torch".into(), version: "2.9.1".into() };
        let error = own.check().unwrap_err().to_string();
        assert!(error.contains("2.9.1") && error.contains("2.13.0"), "{error}");
        assert!(error.contains("/opt/torch"), "{error}");
        let fitting = Own { version: LIBTORCH_VERSION.into(), ..own };
        fitting.check().unwrap();
    }
}
