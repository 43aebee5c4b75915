//! Where the workspace is, and how its other programs are started.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The root of the workspace this xtask was started from.
pub(crate) fn root() -> PathBuf {
    // Cargo says where the package is now, which differs from where it was
    // compiled when somebody has moved the folder.
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}

/// Where [`crate::setup`] puts libtorch, and where `.cargo/config.toml` looks for it.
pub(crate) fn libtorch() -> PathBuf {
    root().join(".libtorch")
}

/// The folder that cargo builds into.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The user's own `LIBTORCH`. `cargo run` sets the variable from
/// `.cargo/config.toml` when the user has not; that one does not count.
pub(crate) fn own_libtorch() -> Option<PathBuf> {
    own_of(env::var_os("LIBTORCH"), &libtorch())
}

fn own_of(value: Option<OsString>, ours: &Path) -> Option<PathBuf> {
    let value = PathBuf::from(value?);
    let same = value == ours
        || matches!((value.parent().map(Path::canonicalize), ours.parent().map(Path::canonicalize)),
            (Some(Ok(a)), Some(Ok(b))) if a == b && value.file_name() == ours.file_name());
    (!same && !value.as_os_str().is_empty()).then_some(value)
}

/// `cargo` in the root of the workspace, seeing the environment the user sees:
/// were the `LIBTORCH` of the configuration passed on as a variable, cargo
/// would rebuild torch-sys each time the user changes between this program and
/// plain cargo.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    if own_libtorch().is_none() {
        command.env_remove("LIBTORCH");
    }
    find_libtorch(&mut command);
    command
}

/// Programs know libtorch by its place beside `target/`; a build folder
/// elsewhere needs to be told.
pub(crate) fn find_libtorch(command: &mut Command) {
    let beside = target().parent().is_some_and(|parent| parent.join(".libtorch").exists());
    if beside {
        return;
    }
    let variable = if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };
    let mut paths = vec![libtorch().join("lib")];
    paths.extend(env::var_os(variable).iter().flat_map(env::split_paths));
    if let Ok(joined) = env::join_paths(paths) {
        command.env(variable, joined);
    }
}

/// Runs a command with the terminal as its own.
///
/// # Errors
/// When it cannot be started, or does not succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    eprintln!("$ {shown}");
    let status = command.status().with_context(|| format!("could not start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Runs a command and returns what it printed on standard output.
///
/// # Errors
/// When it cannot be started, or does not succeed (with the end of what it complained of).
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not start `{shown}`"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let last = complaint.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("");
        bail!("`{shown}` failed ({}): {}", output.status, last.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as a person would type it.
pub(crate) fn show(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut shown = name.to_string_lossy().into_owned();
    for arg in command.get_args() {
        shown.push(' ');
        shown.push_str(&arg.to_string_lossy());
    }
    shown
}

/// The path as seen from the root of the workspace, where that is shorter.
pub(crate) fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libtorch_of_the_configuration_is_not_the_users_own() {
        let folder = tempfile::tempdir().unwrap();
        let ours = folder.path().join(".libtorch");
        let roundabout = folder.path().join("sub/../.libtorch");
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        assert_eq!(own_of(None, &ours), None);
        assert_eq!(own_of(Some("".into()), &ours), None);
        assert_eq!(own_of(Some(ours.clone().into()), &ours), None);
        assert_eq!(own_of(Some(roundabout.into()), &ours), None);
        let other = folder.path().join("libtorch");
        assert_eq!(own_of(Some(other.clone().into()), &ours), Some(other));
    }

    #[test]
    fn a_failure_names_the_command_and_its_last_complaint() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo first >&2; echo the reason >&2; exit 3"]);
        let error = capture(&mut command).unwrap_err().to_string();
        assert!(error.starts_with("`sh -c"), "{error}");
        assert!(error.ends_with("the reason"), "{error}");
    }
}
