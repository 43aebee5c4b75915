//! `cargo xtask setup`: libtorch in `.libtorch/`, whole or not at all.
//!
//! [`table`] has the wheels of each [`platform`]; [`fetch`] brings a [`wheel`],
//! [`unpack`] takes what is needed, [`stamp`] tells a whole assembly from any
//! other, and [`mod@own`] looks at a libtorch that the user has named instead.

mod fetch;
mod own;
mod platform;
mod stamp;
mod table;
mod unpack;
mod wheel;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use fs4::{FileExt, TryLockError};

pub(crate) use fetch::python_with_pip;
pub(crate) use own::{Own, find as find_own, version_of};
pub(crate) use platform::{Flavour, LIBTORCH_VERSION, Platform, here};
use stamp::inspect;
pub(crate) use stamp::{Stamp, State};

use crate::progress::{megabytes, seconds};
use crate::workspace;

/// What to assemble, and where.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// The full CUDA set (2 GB to download) instead of the CPU's
    #[arg(long)]
    cuda: bool,
    /// Assemble again even where it is whole
    #[arg(long)]
    force: bool,
    /// Assemble into another folder than .libtorch
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Assembles libtorch unless it is there, and says where it is.
///
/// # Errors
/// When a user's own libtorch does not fit, or one cannot be assembled.
pub(crate) fn run(options: &Options) -> Result<()> {
    let flavour = if options.cuda { Flavour::Cuda } else { Flavour::Cpu };
    let folder = match &options.dir {
        Some(dir) => std::path::absolute(dir)?,
        None => match own()? {
            Some(own) if options.cuda => bail!(
                "{} names {}: unset it to have the CUDA set assembled",
                own.variable,
                own.folder.display()
            ),
            Some(own) => return report_own(&own),
            None => workspace::libtorch(),
        },
    };
    let platform = here()?;
    if !platform.has(flavour) {
        bail!("there are no CUDA wheels for {}", platform.name());
    }
    ensure_at(&folder, platform, flavour, options.force)?;
    println!("libtorch {LIBTORCH_VERSION} is in {}", workspace::short(&folder));
    Ok(())
}

/// Makes sure of libtorch, saying nothing where it is whole already.
///
/// # Errors
/// As [`run`].
pub(crate) fn ensure() -> Result<()> {
    if own()?.is_some() {
        return Ok(());
    }
    ensure_at(&workspace::libtorch(), here()?, Flavour::Cpu, false)
}

/// The user's own libtorch, checked, and linked to where programs look for it.
fn own() -> Result<Option<Own>> {
    let Some(own) = find_own()? else { return Ok(None) };
    own.check()?;
    link(&own.folder, &workspace::libtorch())?;
    Ok(Some(own))
}

fn report_own(own: &Own) -> Result<()> {
    println!("libtorch {} of {} is in {}", own.version, own.variable, own.folder.display());
    let place = workspace::libtorch();
    if !place.is_symlink() {
        println!(
            "note: programs look into {} first when they start; remove it to have a link there",
            workspace::short(&place)
        );
    }
    Ok(())
}

/// Programs look for libtorch beside `target/`: a link there leads them to the
/// user's own. A folder that is there stays.
fn link(own: &Path, place: &Path) -> Result<()> {
    let own = own.canonicalize().with_context(|| format!("there is no {}", own.display()))?;
    match fs::symlink_metadata(place) {
        Ok(meta) if !meta.is_symlink() => return Ok(()),
        Ok(_) if fs::read_link(place).is_ok_and(|to| to == own) => return Ok(()),
        Ok(_) => fs::remove_file(place)?,
        Err(_) => {}
    }
    unpack::link_folder(own, place)
}

/// Assembles libtorch at a place, one process at a time.
fn ensure_at(place: &Path, platform: &Platform, flavour: Flavour, force: bool) -> Result<()> {
    if !force && state(place, platform, flavour) == State::Whole {
        return Ok(());
    }
    let _lock = lock(&beside(place, "lock"))?;
    // Another process may have done the work while this one waited.
    match state(place, platform, flavour) {
        State::Whole if !force => return Ok(()),
        State::Stale(reason) => {
            eprintln!("{} is assembled anew: {reason}", workspace::short(place));
        }
        State::Whole | State::Absent => {}
    }
    assemble(place, platform, flavour)
}

/// How a place stands, where a link counts if it leads to the right version.
pub(crate) fn state(place: &Path, platform: &Platform, flavour: Flavour) -> State {
    if !place.is_symlink() || flavour == Flavour::Cuda {
        return inspect(place, platform, flavour);
    }
    match version_of(place) {
        Ok(version) if version == LIBTORCH_VERSION => State::Whole,
        Ok(version) => State::Stale(format!("it is a link to libtorch {version}")),
        Err(error) => State::Stale(format!("it is a link, and {error}")),
    }
}

/// `.libtorch` → `.libtorch.what`.
fn beside(place: &Path, what: &str) -> PathBuf {
    let mut name = place.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(what);
    place.with_file_name(name)
}

/// Holds a lock for as long as the file lives; the system frees it with the process.
fn lock(path: &Path) -> Result<fs::File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("could not make the folder {}", parent.display()))?;
    }
    let file =
        fs::File::create(path).with_context(|| format!("could not write {}", path.display()))?;
    match FileExt::try_lock(&file) {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            eprintln!("waiting for another setup that is at work");
            FileExt::lock(&file)
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
    .with_context(|| format!("could not lock {}", path.display()))?;
    Ok(file)
}

fn assemble(place: &Path, platform: &Platform, flavour: Flavour) -> Result<()> {
    let begun = Instant::now();
    let python = python_with_pip()?;
    if !platform.tried {
        eprintln!("note: the wheels of {} were never tried with tweedie", platform.name());
    }
    let downloads = beside(place, "downloads");
    let (fresh, old) = (beside(place, "new"), beside(place, "old"));
    for left_over in [&fresh, &old] {
        clear(left_over)?;
    }
    fs::create_dir_all(&downloads)
        .with_context(|| format!("could not make the folder {}", downloads.display()))?;
    check_space(&downloads, platform, flavour)?;
    let wheels = platform
        .wheels(flavour)
        .map(|wheel| fetch::fetch(&python, wheel, &downloads))
        .collect::<Result<Vec<_>>>()?;
    fs::create_dir_all(&fresh)?;
    unpack::assemble(platform, flavour, &wheels, &fresh)?;
    replace(&fresh, place, &old)?;
    clear(&downloads)?;
    eprintln!("libtorch assembled in {}", seconds(begun.elapsed()));
    Ok(())
}

/// Puts the finished folder in its place.
fn replace(fresh: &Path, place: &Path, old: &Path) -> Result<()> {
    if fs::symlink_metadata(place).is_ok() {
        fs::rename(place, old)
            .with_context(|| format!("could not move {} away", place.display()))?;
    }
    fs::rename(fresh, place)
        .with_context(|| format!("could not put libtorch at {}", place.display()))?;
    clear(old)
}

fn clear(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    }
    .with_context(|| format!("could not remove {}", path.display()))
}

/// Refuses to begin what the disk has no room for.
fn check_space(folder: &Path, platform: &Platform, flavour: Flavour) -> Result<()> {
    let there = |file: &str| fs::metadata(folder.join(file)).map_or(0, |meta| meta.len());
    let missing: u64 =
        platform.wheels(flavour).map(|wheel| wheel.bytes.saturating_sub(there(wheel.file))).sum();
    // What is unpacked is 0.9 (CPU) to 1.8 times (CUDA) the size of the wheels.
    let whole: u64 = platform.wheels(flavour).map(|wheel| wheel.bytes).sum();
    let needed = missing + whole * if flavour == Flavour::Cuda { 2 } else { 1 };
    let Ok(free) = fs4::available_space(folder) else { return Ok(()) };
    if free < needed {
        bail!(
            "libtorch needs {} in {}, where {} are free",
            megabytes(needed),
            folder.display(),
            megabytes(free)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_judged_by_the_version_it_leads_to() {
        let scratch = tempfile::tempdir().unwrap();
        let own = scratch.path().join("own");
        fs::create_dir_all(own.join("lib")).unwrap();
        let library =
            if cfg!(target_os = "macos") { "libtorch_cpu.dylib" } else { "libtorch_cpu.so" };
        fs::write(own.join("lib").join(library), "").unwrap();
        fs::write(own.join("build-version"), LIBTORCH_VERSION).unwrap();
        let place = scratch.path().join(".libtorch");
        link(&own, &place).unwrap();
        let state = || state(&place, &platform::LINUX_X86_64, Flavour::Cpu);
        assert_eq!(state(), State::Whole);
        fs::write(own.join("build-version"), "1.0.0").unwrap();
        assert_eq!(state(), State::Stale("it is a link to libtorch 1.0.0".to_owned()));
        fs::remove_dir_all(&own).unwrap();
        assert!(matches!(state(), State::Stale(_)));
    }

    #[test]
    fn a_link_moves_with_the_variable_but_a_folder_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let [one, two, place] = ["one", "two", "place"].map(|name| scratch.path().join(name));
        fs::create_dir_all(&one).unwrap();
        fs::create_dir_all(&two).unwrap();
        link(&one, &place).unwrap();
        link(&two, &place).unwrap();
        assert_eq!(place.canonicalize().unwrap(), two.canonicalize().unwrap());
        link(&place, &one).unwrap();
        assert!(!one.is_symlink());
    }

    #[test]
    fn the_new_folder_takes_the_place_of_the_old() {
        let scratch = tempfile::tempdir().unwrap();
        let [fresh, place, old] = ["new", "place", "old"].map(|name| scratch.path().join(name));
        for (folder, text) in [(&fresh, "new"), (&place, "old")] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("file"), text).unwrap();
        }
        replace(&fresh, &place, &old).unwrap();
        assert_eq!(fs::read_to_string(place.join("file")).unwrap(), "new");
        assert!(!fresh.exists() && !old.exists());
    }

    #[test]
    fn only_one_holds_the_lock() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("x.lock");
        let held = lock(&path).unwrap();
        let second = fs::File::create(&path).unwrap();
        assert!(matches!(FileExt::try_lock(&second), Err(TryLockError::WouldBlock)));
        drop(held);
        assert!(FileExt::try_lock(&second).is_ok());
    }
}
