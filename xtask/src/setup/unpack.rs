//! From wheels to a libtorch folder, one file at a time.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

use super::platform::{Flavour, LIBTORCH_VERSION, Platform};
use super::stamp::Stamp;
use crate::progress::Progress;

/// Unpacks what is needed of the wheels into `folder`, completes it and stamps it.
///
/// # Errors
/// When a wheel lacks something, or the folder cannot be written.
pub(crate) fn assemble(
    platform: &Platform,
    flavour: Flavour,
    wheels: &[PathBuf],
    folder: &Path,
) -> Result<()> {
    let mut files = BTreeMap::new();
    for wheel in wheels {
        unpack(wheel, folder, &|entry| platform.place(flavour, entry), &mut files)?;
    }
    if flavour == Flavour::Cuda {
        // torch's libraries look for NVIDIA's two folders up, as in site-packages.
        link_folder("site/torch/lib", &folder.join("lib"))?;
        link_folder("site/torch/include", &folder.join("include"))?;
    }
    for (name, text) in platform.written() {
        put(folder, name, text.as_bytes(), &mut files)?;
    }
    // torch-sys compares this file with the version it was made for.
    put(folder, "build-version", LIBTORCH_VERSION.as_bytes(), &mut files)?;
    for name in platform.required(flavour) {
        if !folder.join(&name).exists() {
            bail!("the wheels hold no {name}");
        }
    }
    Stamp::new(platform, flavour, files).write(folder)
}

/// Streams the wanted entries of one wheel to their places, and notes their sizes.
pub(crate) fn unpack(
    wheel: &Path,
    folder: &Path,
    place: &dyn Fn(&str) -> Option<String>,
    files: &mut BTreeMap<PathBuf, u64>,
) -> Result<()> {
    let name = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let reader = BufReader::with_capacity(1 << 18, fs::File::open(wheel)?);
    let mut archive = ZipArchive::new(reader).with_context(|| format!("{name} is not a wheel"))?;
    let wanted = wanted(&mut archive, place)?;
    let total = wanted.iter().map(|(_, _, size)| size).sum();
    let progress = Progress::bytes(format!("unpacking {}", short_name(&name)), total);
    for (index, target, _) in wanted {
        let entry = archive.by_index(index)?;
        let size = write(&folder.join(&target), entry, &progress)
            .with_context(|| format!("could not unpack {target} from {name}"))?;
        files.insert(target.into(), size);
    }
    progress.done();
    Ok(())
}

fn short_name(wheel: &str) -> String {
    wheel.splitn(3, '-').take(2).collect::<Vec<_>>().join("-")
}

/// Number, place and size of each entry that is wanted.
fn wanted<R: Read + io::Seek>(
    archive: &mut ZipArchive<R>,
    place: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(usize, String, u64)>> {
    let mut wanted = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index)?;
        if entry.is_dir() || entry.enclosed_name().is_none() {
            continue;
        }
        if let Some(target) = place(entry.name()) {
            wanted.push((index, target, entry.size()));
        }
    }
    Ok(wanted)
}

fn write(target: &Path, mut from: impl Read, progress: &Progress) -> Result<u64> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = fs::File::create(target)?;
    let mut buffer = vec![0; 1 << 18];
    let mut size = 0;
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        file.write_all(&buffer[..n])?;
        size += n as u64;
        progress.add(n as u64);
    }
    Ok(size)
}

fn put(folder: &Path, name: &str, bytes: &[u8], files: &mut BTreeMap<PathBuf, u64>) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("could not write {}", path.display()))?;
    files.insert(name.into(), bytes.len() as u64);
    Ok(())
}

#[cfg(unix)]
pub(crate) fn link_folder(to: impl AsRef<Path>, at: &Path) -> Result<()> {
    std::os::unix::fs::symlink(to, at)
        .with_context(|| format!("could not make the link {}", at.display()))
}

#[cfg(not(unix))]
pub(crate) fn link_folder(_to: impl AsRef<Path>, at: &Path) -> Result<()> {
    bail!("no link can be made at {} on this system", at.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::platform::LINUX_X86_64;
    use crate::setup::stamp::{State, inspect};

    fn wheel(folder: &Path, name: &str, entries: &[(&str, &str)]) -> PathBuf {
        let path = folder.join(name);
        let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        for (entry, text) in entries {
            zip.start_file(*entry, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    const TORCH: &[(&str, &str)] = &[
        ("torch/lib/libtorch_cpu.so", "cpu"),
        ("torch/lib/libc10.so", "c10"),
        ("torch/lib/libgomp.so.1", "gomp"),
        ("torch/lib/libshm.so", "shm"),
        ("torch/lib/libtorch_global_deps.so", "deps"),
        ("torch/lib/libtorch_cuda.so", "cuda"),
        ("torch/lib/libtorch.so", "a stub that asks for CUDA"),
        ("torch/lib/libtorch_python.so", "python"),
        ("torch/include/torch/headeronly/version.h", "#define"),
        ("torch/nn/modules.py", "python"),
    ];
    const NVIDIA: &[(&str, &str)] = &[
        ("nvidia/cu13/lib/libcupti.so.13", "cupti"),
        ("nvidia/cu13/lib/libcudart.so.13", "cudart"),
        ("nvidia/cu13/lib/libnvperf_host.so", "perf"),
    ];

    fn assembled(flavour: Flavour) -> (tempfile::TempDir, PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let out = scratch.path().join("out");
        fs::create_dir(&out).unwrap();
        let wheels = [
            wheel(scratch.path(), "torch-1-a-b-c.whl", TORCH),
            wheel(scratch.path(), "nvidia-1-a-b-c.whl", NVIDIA),
        ];
        assemble(&LINUX_X86_64, flavour, &wheels, &out).unwrap();
        (scratch, out)
    }

    #[test]
    fn the_cpu_layout_is_flat_and_leaves_cuda_out() {
        let (_scratch, out) = assembled(Flavour::Cpu);
        let script = fs::read_to_string(out.join("lib/libtorch.so")).unwrap();
        assert_eq!(script.trim(), "INPUT(-ltorch_cpu -lc10)");
        assert_eq!(fs::read_to_string(out.join("lib/libcupti.so.13")).unwrap(), "cupti");
        assert!(out.join("include/torch/headeronly/version.h").exists());
        for absent in ["lib/libtorch_cuda.so", "lib/libtorch_python.so", "lib/libnvperf_host.so"] {
            assert!(!out.join(absent).exists(), "{absent}");
        }
        assert_eq!(inspect(&out, &LINUX_X86_64, Flavour::Cpu), State::Whole);
    }

    #[test]
    fn the_cuda_layout_is_that_of_site_packages() {
        let (_scratch, out) = assembled(Flavour::Cuda);
        assert_eq!(fs::read_to_string(out.join("lib/libtorch_cuda.so")).unwrap(), "cuda");
        let beside = out.join("lib/../../nvidia/cu13/lib/libcudart.so.13");
        assert_eq!(fs::read_to_string(beside).unwrap(), "cudart");
        assert_eq!(inspect(&out, &LINUX_X86_64, Flavour::Cuda), State::Whole);
        fs::write(out.join("lib/libtorch.so"), "something else entirely, longer").unwrap();
        assert!(matches!(inspect(&out, &LINUX_X86_64, Flavour::Cuda), State::Stale(_)));
    }

    #[test]
    fn wheels_that_lack_something_are_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let out = scratch.path().join("out");
        fs::create_dir_all(out.join("lib")).unwrap();
        let wheels = [wheel(scratch.path(), "torch-1-a-b-c.whl", &TORCH[1..])];
        let error = assemble(&LINUX_X86_64, Flavour::Cpu, &wheels, &out).unwrap_err();
        assert_eq!(error.to_string(), "the wheels hold no lib/libtorch_cpu.so");
        assert!(matches!(inspect(&out, &LINUX_X86_64, Flavour::Cpu), State::Stale(_)));
    }

    #[test]
    fn an_entry_that_climbs_out_is_left_where_it_is() {
        let scratch = tempfile::tempdir().unwrap();
        let path = wheel(scratch.path(), "x-1-a-b-c.whl", &[("../evil", "x"), ("good", "y")]);
        let mut files = BTreeMap::new();
        let out = scratch.path().join("out");
        unpack(&path, &out, &|name| Some(name.to_owned()), &mut files).unwrap();
        assert_eq!(files.len(), 1);
        assert!(!scratch.path().join("evil").exists());
    }

    #[test]
    fn a_cut_wheel_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let path = wheel(scratch.path(), "torch-1-a-b-c.whl", TORCH);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let mut files = BTreeMap::new();
        let error = unpack(&path, scratch.path(), &|_| None, &mut files).unwrap_err().to_string();
        assert_eq!(error, "torch-1-a-b-c.whl is not a wheel");
    }
}
