//! Debian packages: an `ar` archive around a `tar` archive, unpacked without root.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Downloads a package of this name into `folder` and returns its path.
///
/// # Errors
/// When there is no `apt-get`, or it cannot bring the package.
pub(crate) fn download(package: &str, folder: &Path) -> Result<PathBuf> {
    let mut plain = apt(folder);
    plain.args(["download", package]);
    if workspace::capture(&mut plain).is_err() {
        // A fresh machine has no package lists. They are fetched into a
        // folder of our own: that needs no root and changes nothing.
        private(package, folder)?;
    }
    let entries = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let mut debs = entries.filter(|path| path.extension().is_some_and(|end| end == "deb"));
    debs.next().with_context(|| format!("apt-get left no package {package}"))
}

fn apt(folder: &Path) -> Command {
    let mut command = Command::new("apt-get");
    command.current_dir(folder).stdin(Stdio::null()).args(["-qq", "-o", "APT::Sandbox::User="]);
    command
}

/// The same with package lists of our own.
fn private(package: &str, folder: &Path) -> Result<()> {
    for part in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(folder.join(part))?;
    }
    let own = [
        format!("Dir::State::Lists={}", folder.join("lists").display()),
        format!("Dir::Cache={}", folder.join("cache").display()),
    ];
    for action in [&["update"][..], &["download", package]] {
        let mut command = apt(folder);
        command.args(own.iter().flat_map(|option| ["-o", option.as_str()])).args(action);
        workspace::capture(&mut command)?;
    }
    Ok(())
}

/// Copies the files of a package whose name `wanted` accepts into `folder`.
///
/// # Errors
/// When the file is no Debian package, or is packed in a way that is not known.
pub(crate) fn unpack(
    package: &Path,
    folder: &Path,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<PathBuf>> {
    let file =
        fs::File::open(package).with_context(|| format!("could not read {}", package.display()))?;
    let mut archive = ar::Archive::new(std::io::BufReader::new(file));
    while let Some(entry) = archive.next_entry() {
        let entry =
            entry.with_context(|| format!("{} is not a Debian package", package.display()))?;
        let name = String::from_utf8_lossy(entry.header().identifier()).into_owned();
        let name = name.trim_end_matches('/');
        if let Some(kind) = name.strip_prefix("data.tar") {
            let stream = decoder(kind, entry)?;
            return extract(stream, folder, wanted)
                .with_context(|| format!("{} is broken", package.display()));
        }
    }
    bail!("{} is not a Debian package: it holds no data.tar", package.display())
}

fn decoder<'a>(kind: &str, stream: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
    Ok(match kind {
        ".xz" => Box::new(liblzma::read::XzDecoder::new(stream)),
        ".gz" => Box::new(flate2::read::GzDecoder::new(stream)),
        ".zst" => Box::new(
            ruzstd::decoding::StreamingDecoder::new(stream).context("its data is not zstd")?,
        ),
        "" => Box::new(stream),
        other => bail!("its data is packed as data.tar{other}, which is not known"),
    })
}

fn extract(
    stream: impl Read,
    folder: &Path,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for entry in tar::Archive::new(stream).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if entry.header().entry_type().is_file() && wanted(&name) {
            let target = folder.join(name);
            let mut file = fs::File::create(&target)?;
            std::io::copy(&mut entry, &mut file)?;
            written.push(target);
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn tarball() -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, text) in [("./usr/share/x/good.gz", "good"), ("./usr/share/doc/x", "doc")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn deb(member: &str, data: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut ar = ar::Builder::new(file.reopen().unwrap());
        for (name, bytes) in [("debian-binary", &b"2.0\n"[..]), (member, data)] {
            let header = ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64);
            ar.append(&header, bytes).unwrap();
        }
        file
    }

    fn unpacked(package: &Path) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let files = unpack(package, folder.path(), &|name| name.ends_with(".gz"))?;
        Ok(files.iter().map(|path| fs::read_to_string(path).unwrap()).collect())
    }

    #[test]
    fn every_compression_of_debian_and_ubuntu_is_read() {
        let tar = tarball();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&tar).unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&tar).unwrap();
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let table = [
            ("data.tar", tar.clone()),
            ("data.tar.xz", xz.finish().unwrap()),
            ("data.tar.gz", gz.finish().unwrap()),
            ("data.tar.zst", ruzstd::encoding::compress_to_vec(&tar[..], level)),
        ];
        for (member, data) in table {
            assert_eq!(unpacked(deb(member, &data).path()).unwrap(), ["good"], "{member}");
        }
    }

    #[test]
    fn other_files_are_refused_in_a_sentence() {
        let no_ar = tempfile::NamedTempFile::new().unwrap();
        fs::write(no_ar.path(), "<html>").unwrap();
        let table = [
            (no_ar, "is not a Debian package"),
            (deb("control.tar", b"x"), "holds no data.tar"),
            (deb("data.tar.lz4", b"x"), "data.tar.lz4, which is not known"),
            (deb("data.tar.xz", b"not xz at all"), "is broken"),
            (deb("data.tar.zst", b"not zstd"), "not zstd"),
        ];
        for (file, expected) in table {
            let error = format!("{:#}", unpacked(file.path()).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}
