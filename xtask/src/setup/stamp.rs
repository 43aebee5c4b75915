//! The stamp: what an assembled libtorch says of itself.
//!
//! It is the last file written before a folder takes its place, and lists every
//! other file with its size, so a broken, partial or earlier assembly shows.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::platform::{Flavour, LIBTORCH_VERSION, Platform};

/// Name of the stamp inside the folder.
const NAME: &str = ".assembled.json";

/// Raised when the way of assembling changes while the wheels stay the same.
const RECIPE: u32 = 1;

/// What was assembled, from what, and every file that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    version: String,
    platform: String,
    pub(crate) flavour: Flavour,
    recipe: u32,
    wheels: Vec<String>,
    files: BTreeMap<PathBuf, u64>,
}

/// How a folder stands to what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing is there.
    Absent,
    /// Everything is there.
    Whole,
    /// Something is there which must be redone, and why.
    Stale(String),
}

impl Stamp {
    /// The stamp of a fresh assembly of these files.
    pub(crate) fn new(
        platform: &Platform,
        flavour: Flavour,
        files: BTreeMap<PathBuf, u64>,
    ) -> Self {
        Self {
            version: LIBTORCH_VERSION.to_owned(),
            platform: platform.name(),
            flavour,
            recipe: RECIPE,
            wheels: platform.wheels(flavour).map(|wheel| wheel.sha256.to_owned()).collect(),
            files,
        }
    }

    /// Writes the stamp, and returns once it is on the disk.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(NAME);
        let mut file = fs::File::create(&path)
            .with_context(|| format!("could not write {}", path.display()))?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all().with_context(|| format!("could not write {}", path.display()))
    }

    /// The stamp in a folder, if there is one that can be read.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(NAME)).ok()?).ok()
    }

    /// Why this stamp is not one of the wanted assembly.
    fn differs(&self, platform: &Platform, flavour: Flavour) -> Option<String> {
        // The CUDA set holds all that the CPU needs.
        let enough = self.flavour == flavour || self.flavour == Flavour::Cuda;
        let expected = Self::new(platform, self.flavour, BTreeMap::new());
        if self.version != expected.version {
            return Some(format!("it is libtorch {}", self.version));
        }
        if self.platform != expected.platform {
            return Some(format!("it is for {}", self.platform));
        }
        if !enough {
            return Some("it is without CUDA".to_owned());
        }
        (self.recipe != expected.recipe || self.wheels != expected.wheels)
            .then(|| "it was assembled in an earlier way".to_owned())
    }

    /// The first file that is missing or has another size.
    fn flaw(&self, folder: &Path) -> Option<String> {
        self.files.iter().find_map(|(name, &size)| {
            match fs::metadata(folder.join(name)).map(|found| found.len()) {
                Err(_) => Some(format!("{} is missing", name.display())),
                Ok(found) if found != size => {
                    Some(format!("{} has {found} bytes instead of {size}", name.display()))
                }
                Ok(_) => None,
            }
        })
    }
}

/// Looks at a folder that should hold libtorch.
pub(crate) fn inspect(folder: &Path, platform: &Platform, flavour: Flavour) -> State {
    if fs::symlink_metadata(folder).is_err() {
        return State::Absent;
    }
    let Some(stamp) = Stamp::read(folder) else {
        return State::Stale("it is not an assembly that was finished".to_owned());
    };
    stamp
        .differs(platform, flavour)
        .or_else(|| stamp.flaw(folder))
        .map_or(State::Whole, State::Stale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::platform::LINUX_X86_64;

    fn assembled(flavour: Flavour) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("lib/libtorch_cpu.so"), b"12345").unwrap();
        let files = BTreeMap::from([(PathBuf::from("lib/libtorch_cpu.so"), 5)]);
        Stamp::new(&LINUX_X86_64, flavour, files).write(folder.path()).unwrap();
        folder
    }

    fn state(folder: &Path) -> State {
        inspect(folder, &LINUX_X86_64, Flavour::Cpu)
    }

    fn reason(folder: &Path) -> String {
        match state(folder) {
            State::Stale(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_finished_assembly_is_whole() {
        let folder = assembled(Flavour::Cpu);
        assert_eq!(state(folder.path()), State::Whole);
        assert_eq!(state(&folder.path().join("elsewhere")), State::Absent);
    }

    #[test]
    fn a_folder_without_a_stamp_is_not_taken_for_whole() {
        let folder = assembled(Flavour::Cpu);
        fs::remove_file(folder.path().join(NAME)).unwrap();
        assert!(reason(folder.path()).contains("not an assembly"));
        fs::write(folder.path().join(NAME), "{\"version\":").unwrap();
        assert!(reason(folder.path()).contains("not an assembly"));
    }

    #[test]
    fn missing_and_cut_files_are_named() {
        let folder = assembled(Flavour::Cpu);
        fs::write(folder.path().join("lib/libtorch_cpu.so"), b"123").unwrap();
        assert_eq!(reason(folder.path()), "lib/libtorch_cpu.so has 3 bytes instead of 5");
        fs::remove_file(folder.path().join("lib/libtorch_cpu.so")).unwrap();
        assert_eq!(reason(folder.path()), "lib/libtorch_cpu.so is missing");
    }

    #[test]
    fn another_version_platform_or_recipe_is_redone() {
        let folder = assembled(Flavour::Cpu);
        let good = Stamp::read(folder.path()).unwrap();
        let mut bad = [good.clone(), good.clone(), good.clone(), good];
        bad[0].version = "2.9.0".to_owned();
        bad[1].platform = "plan9-mips".to_owned();
        bad[2].recipe = 0;
        bad[3].wheels[0] = "00".to_owned();
        for stamp in bad {
            stamp.write(folder.path()).unwrap();
            assert!(matches!(state(folder.path()), State::Stale(_)), "{stamp:?}");
        }
    }

    #[test]
    fn cuda_serves_for_the_cpu_but_not_the_other_way() {
        let cuda = assembled(Flavour::Cuda);
        assert_eq!(state(cuda.path()), State::Whole);
        let cpu = assembled(Flavour::Cpu);
        let wanted = inspect(cpu.path(), &LINUX_X86_64, Flavour::Cuda);
        assert_eq!(wanted, State::Stale("it is without CUDA".to_owned()));
    }
}
