//! One row a platform: its wheels, what is taken from them, and where it goes.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::table;
use super::wheel::Wheel;

/// The libtorch that this version of `tch` is made for.
pub(crate) const LIBTORCH_VERSION: &str = "2.13.0";

/// Where every libtorch says its version.
pub(crate) const VERSION_HEADER: &str = "include/torch/headeronly/version.h";

/// What libtorch is to run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Flavour {
    /// The processor alone.
    Cpu,
    /// NVIDIA's GPUs as well.
    Cuda,
}

/// How libtorch is put together on one kind of machine.
#[derive(Debug)]
pub(crate) struct Platform {
    os: &'static str,
    arch: &'static str,
    /// Whether anybody has run the result.
    pub(crate) tried: bool,
    cpu: &'static [Wheel],
    cuda: &'static [Wheel],
    /// The libraries of the CPU flavour, taken from `torch/lib` and NVIDIA's folders.
    libs: &'static [&'static str],
}

/// Debian, Ubuntu and their like on Intel and AMD.
pub(crate) const LINUX_X86_64: Platform = Platform {
    os: "linux",
    arch: "x86_64",
    tried: true,
    cpu: table::LINUX_X86_64_CPU,
    cuda: table::LINUX_X86_64_CUDA,
    libs: &[
        "libtorch_cpu.so",
        "libc10.so",
        "libshm.so",
        "libtorch_global_deps.so",
        "libgomp.so.1",
        "libcupti.so.13",
        "libcudart.so.13",
    ],
};

/// The same on 64-bit ARM: BLAS, LAPACK and the Arm Compute Library come beside.
pub(crate) const LINUX_AARCH64: Platform = Platform {
    os: "linux",
    arch: "aarch64",
    tried: false,
    cpu: table::LINUX_AARCH64_CPU,
    cuda: table::LINUX_AARCH64_CUDA,
    libs: &[
        "libtorch_cpu.so",
        "libc10.so",
        "libshm.so",
        "libtorch_global_deps.so",
        "libgomp.so.1",
        "libgfortran.so.5",
        "libarm_compute.so",
        "libarm_compute_graph.so",
        "libnvpl_blas_core.so.0",
        "libnvpl_blas_lp64_gomp.so.0",
        "libnvpl_lapack_core.so.0",
        "libnvpl_lapack_lp64_gomp.so.0",
        "libcupti.so.13",
        "libcudart.so.13",
    ],
};

/// Apple's processors; the wheel is for the CPU already.
pub(crate) const MACOS_AARCH64: Platform = Platform {
    os: "macos",
    arch: "aarch64",
    tried: false,
    cpu: table::MACOS_AARCH64_CPU,
    cuda: &[],
    libs: &[
        "libtorch.dylib",
        "libtorch_cpu.dylib",
        "libc10.dylib",
        "libshm.dylib",
        "libtorch_global_deps.dylib",
        "libomp.dylib",
    ],
};

/// Every platform there are wheels for.
pub(crate) const ALL: &[Platform] = &[LINUX_X86_64, LINUX_AARCH64, MACOS_AARCH64];

/// The row of the machine this runs on.
///
/// # Errors
/// When there is none: what can be set instead.
pub(crate) fn here() -> Result<&'static Platform> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    match ALL.iter().find(|platform| platform.os == os && platform.arch == arch) {
        Some(platform) => Ok(platform),
        None => bail!(
            "there is no libtorch wheel for {os} on {arch}: set LIBTORCH to the folder of a \
             libtorch {LIBTORCH_VERSION}"
        ),
    }
}

impl Platform {
    /// `os-arch`.
    pub(crate) fn name(&self) -> String {
        format!("{}-{}", self.os, self.arch)
    }

    /// Whether there is a CUDA flavour.
    pub(crate) fn has(&self, flavour: Flavour) -> bool {
        flavour == Flavour::Cpu || !self.cuda.is_empty()
    }

    /// The wheels a flavour is made of.
    pub(crate) fn wheels(&self, flavour: Flavour) -> impl Iterator<Item = &'static Wheel> {
        let more = if flavour == Flavour::Cuda { self.cuda } else { &[] };
        self.cpu.iter().chain(more)
    }

    /// Where an entry of a wheel goes, or `None` when it is left out.
    pub(crate) fn place(&self, flavour: Flavour, entry: &str) -> Option<String> {
        match flavour {
            Flavour::Cpu => self.place_cpu(entry),
            Flavour::Cuda => self.place_cuda(entry),
        }
    }

    fn place_cpu(&self, entry: &str) -> Option<String> {
        if let Some(header) = entry.strip_prefix("torch/include/") {
            return Some(format!("include/{header}"));
        }
        let (folder, name) = entry.rsplit_once('/')?;
        let from_lib = folder == "torch/lib" || is_nvidia(folder);
        (from_lib && self.libs.contains(&name)).then(|| format!("lib/{name}"))
    }

    fn place_cuda(&self, entry: &str) -> Option<String> {
        if entry.starts_with("torch/include/") {
            return Some(format!("site/{entry}"));
        }
        let (folder, name) = entry.rsplit_once('/')?;
        let left_out = ["libtorch.so", "libtorch_python.so"].contains(&name);
        let library = name.ends_with(".so") || name.contains(".so.");
        let from_lib = folder == "torch/lib" || is_nvidia(folder);
        (from_lib && library && !left_out).then(|| format!("site/{entry}"))
    }

    /// Files that are written rather than unpacked.
    ///
    /// The wheel's `libtorch.so` is a stub that asks for `libtorch_cuda.so`. A
    /// linker script in its place makes programs that need neither, and that
    /// run with either flavour (CUDA is loaded at run time, where it is there).
    pub(crate) fn written(&self) -> &'static [(&'static str, &'static str)] {
        match self.os {
            "linux" => &[("lib/libtorch.so", "INPUT(-ltorch_cpu -lc10)\n")],
            _ => &[],
        }
    }

    /// Files without which an assembly is of no use.
    pub(crate) fn required(&self, flavour: Flavour) -> Vec<String> {
        let mut names = vec![VERSION_HEADER.to_owned()];
        match flavour {
            Flavour::Cpu => names.extend(self.libs.iter().map(|name| format!("lib/{name}"))),
            Flavour::Cuda => {
                names.extend(["cpu", "cuda"].map(|name| format!("lib/libtorch_{name}.so")));
            }
        }
        names
    }
}

/// `nvidia/<library>/lib`.
fn is_nvidia(folder: &str) -> bool {
    folder.starts_with("nvidia/") && folder.ends_with("/lib")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_of_the_table_is_well_formed() {
        let mut hashes = BTreeSet::new();
        for platform in ALL {
            let flavour = if platform.has(Flavour::Cuda) { Flavour::Cuda } else { Flavour::Cpu };
            for wheel in platform.wheels(flavour) {
                assert_eq!(wheel.sha256.len(), 64, "{}", wheel.file);
                assert!(wheel.sha256.bytes().all(|b| b.is_ascii_hexdigit()), "{}", wheel.file);
                assert!(hashes.insert(wheel.sha256), "{} stands twice", wheel.file);
                assert!(wheel.bytes > 0, "{}", wheel.file);
                let arch = if platform.os == "macos" { "arm64" } else { platform.arch };
                assert!(wheel.file.ends_with(&format!("{arch}.whl")), "{}", wheel.file);
                assert!(wheel.requirement().contains("=="), "{}", wheel.file);
            }
            let torch = platform.wheels(Flavour::Cpu).next().unwrap();
            assert_eq!(torch.requirement(), format!("torch=={LIBTORCH_VERSION}"));
        }
    }

    #[test]
    fn entries_go_to_their_places() {
        let table = [
            ("torch/include/ATen/ATen.h", Some("include/ATen/ATen.h"), true),
            ("torch/lib/libc10.so", Some("lib/libc10.so"), true),
            ("nvidia/cu13/lib/libcupti.so.13", Some("lib/libcupti.so.13"), true),
            ("torch/lib/libtorch_cuda.so", None, true),
            ("nvidia/cublas/lib/libcublas.so.13", None, true),
            ("torch/lib/libtorch.so", None, false),
            ("torch/lib/libshm/libshm.h", None, false),
            ("torch/nn/functional.py", None, false),
            ("nvidia/cu13/lib/libcudart_static.a", None, false),
        ];
        for (entry, cpu, in_cuda) in table {
            assert_eq!(LINUX_X86_64.place(Flavour::Cpu, entry).as_deref(), cpu, "{entry}");
            let cuda = LINUX_X86_64.place(Flavour::Cuda, entry);
            assert_eq!(cuda, in_cuda.then(|| format!("site/{entry}")), "{entry}");
        }
    }
}
