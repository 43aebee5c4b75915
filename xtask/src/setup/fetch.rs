//! Wheels by name and version, through whatever index pip is configured with.

use std::env;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::platform::LIBTORCH_VERSION;
use super::wheel::Wheel;
use crate::progress::{Progress, megabytes};

/// The wheel in `folder`, downloaded unless it is there already, with the
/// right hash.
///
/// # Errors
/// In one sentence: no pip, no network, an index without the file, a full
/// disk, or other bytes than expected (twice).
pub(crate) fn fetch(python: &Path, wheel: &Wheel, folder: &Path) -> Result<PathBuf> {
    let path = folder.join(wheel.file);
    if path.exists() {
        match verify(&path, wheel) {
            Ok(()) => return Ok(path),
            Err(error) => eprintln!("{error}; downloading it again"),
        }
        fs::remove_file(&path)?;
    }
    download(python, wheel, folder)?;
    if let Err(error) = verify(&path, wheel) {
        eprintln!("{error}; downloading it again");
        remove(&path)?;
        download(python, wheel, folder)?;
        verify(&path, wheel)
            .context("the index serves another file than the one that was tried")?;
    }
    Ok(path)
}

fn remove(path: &Path) -> Result<()> {
    if path.exists() {
        fs::remove_file(path).with_context(|| format!("could not remove {}", path.display()))?;
    }
    Ok(())
}

/// Compares size and SHA-256 of a file with the wheel's.
pub(crate) fn verify(path: &Path, wheel: &Wheel) -> Result<()> {
    let found = sha256(path).with_context(|| format!("{} was not downloaded", wheel.file))?;
    if found != wheel.sha256 {
        let bytes = fs::metadata(path)?.len();
        let cause = if bytes == wheel.bytes { "damaged" } else { "incomplete" };
        bail!(
            "{} is {cause}: {bytes} bytes with SHA-256 {found}, expected {} bytes with {}",
            wheel.file,
            wheel.bytes,
            wheel.sha256
        );
    }
    Ok(())
}

/// SHA-256 of a file, in hexadecimal digits.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A Python that has pip.
///
/// # Errors
/// When there is none: what to install, or what to set instead.
pub(crate) fn python_with_pip() -> Result<PathBuf> {
    let candidates = [env::var_os("PYTHON"), Some("python3".into()), Some("python".into())];
    for python in candidates.into_iter().flatten() {
        let mut command = Command::new(&python);
        command.args(["-m", "pip", "--version"]).stdin(Stdio::null());
        if command.output().is_ok_and(|output| output.status.success()) {
            return Ok(python.into());
        }
    }
    bail!(
        "libtorch comes as a Python package, and no python3 with pip was found: install pip \
         (Debian and Ubuntu: apt-get install python3-pip), or set LIBTORCH to the folder of a \
         libtorch {LIBTORCH_VERSION}"
    )
}

fn download(python: &Path, wheel: &Wheel, folder: &Path) -> Result<()> {
    // pip gathers a download in its temporary folder, which is often a small one in memory.
    let scratch = folder.join("pip");
    fs::create_dir_all(&scratch)?;
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:"])
        .args(["--progress-bar", "off", "--disable-pip-version-check", "--quiet"])
        .args(wheel.tags())
        .arg("--dest")
        .arg(folder)
        .arg(wheel.requirement())
        .env("TMPDIR", &scratch)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let progress = Progress::bytes(format!("downloading {}", wheel.requirement()), wheel.bytes);
    let mut child = command.spawn().context("could not start pip")?;
    let complaint = watch(&mut child, &scratch, &progress)?;
    let status = child.wait()?;
    let _ = fs::remove_dir_all(&scratch);
    if !status.success() {
        bail!("{}", explain(&complaint, wheel, folder));
    }
    progress.done();
    Ok(())
}

/// Shows how much has come, until the child ends; returns what it complained of.
fn watch(child: &mut Child, scratch: &Path, progress: &Progress) -> Result<String> {
    let stderr = child.stderr.take();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut stderr) = stderr {
            let _ = stderr.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    while child.try_wait()?.is_none() {
        progress.at(size(scratch));
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(reader.join().unwrap_or_default())
}

/// Bytes of all files below a folder, which may change meanwhile.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?, entry.path())))
        .map(|(meta, path)| if meta.is_dir() { size(&path) } else { meta.len() })
        .sum()
}

/// One sentence out of pip's many lines.
fn explain(complaint: &str, wheel: &Wheel, folder: &Path) -> String {
    let has = |needles: &[&str]| needles.iter().any(|needle| complaint.contains(needle));
    let own = format!("or set LIBTORCH to the folder of a libtorch {LIBTORCH_VERSION}");
    let unreachable = [
        "NewConnectionError",
        "Failed to establish",
        "name resolution",
        "timed out",
        "Connection refused",
        "ProxyError",
        "SSLError",
        "ConnectionError",
        "Could not fetch URL",
    ];
    if has(&["No space left"]) {
        return format!(
            "the disk is full: {} needs {} in {}",
            wheel.file,
            megabytes(2 * wheel.bytes),
            folder.display()
        );
    }
    if has(&unreachable) {
        return format!(
            "pip could not reach its package index for {}: check the network, the proxy and \
             `pip config list`, {own}",
            wheel.requirement()
        );
    }
    if has(&["No matching distribution", "Could not find a version"]) {
        return format!(
            "pip found no {} on its package index: check the network and `pip config list`, \
             update a pip older than 20.3, {own}",
            wheel.file
        );
    }
    let last = complaint.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason");
    format!("pip could not download {}: {}", wheel.file, last.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: Wheel = Wheel {
        file: "hello-1.0-py3-none-any.whl",
        bytes: 5,
        sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    };

    #[test]
    fn right_cut_and_changed_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(HELLO.file);
        assert!(verify(&path, &HELLO).unwrap_err().to_string().contains("was not downloaded"));
        fs::write(&path, "hello").unwrap();
        verify(&path, &HELLO).unwrap();
        fs::write(&path, "hel").unwrap();
        assert!(verify(&path, &HELLO).unwrap_err().to_string().contains("incomplete: 3 bytes"));
        fs::write(&path, "hellO").unwrap();
        assert!(verify(&path, &HELLO).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn a_file_that_is_there_and_right_is_not_fetched_again() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(HELLO.file), "hello").unwrap();
        let nothing = Path::new("/nonexistent/python");
        assert!(fetch(nothing, &HELLO, folder.path()).is_ok());
        fs::write(folder.path().join(HELLO.file), "hellO").unwrap();
        let error = fetch(nothing, &HELLO, folder.path()).unwrap_err().to_string();
        assert_eq!(error, "could not start pip");
    }

    #[test]
    fn pips_complaints_become_one_sentence() {
        let table = [
            ("NewConnectionError: x\nERROR: No matching distribution found", "could not reach"),
            ("ERROR: No matching distribution found for torch==2.13.0", "found no hello"),
            ("OSError: [Errno 28] No space left on device", "disk is full"),
            ("warning\nERROR: strange\n", "ERROR: strange"),
        ];
        for (complaint, expected) in table {
            let text = explain(complaint, &HELLO, Path::new("."));
            assert!(text.contains(expected), "{text}");
            assert_eq!(text.lines().count(), 1);
        }
    }
}
