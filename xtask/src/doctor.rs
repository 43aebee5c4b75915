//! `cargo xtask doctor`: what is here, what is missing, and what to do.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::Result;

use crate::setup::{self, Flavour, LIBTORCH_VERSION, Stamp, State};
use crate::workspace;

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// As it should be.
    Good,
    /// Not there, and not needed.
    Note,
    /// In the way of building or running.
    Missing,
}

/// One line of the report.
#[derive(Debug)]
struct Line {
    mark: Mark,
    what: &'static str,
    text: String,
}

fn line(mark: Mark, what: &'static str, text: impl Into<String>) -> Line {
    Line { mark, what, text: text.into() }
}

/// Prints a line for each thing that matters.
///
/// # Errors
/// When something is missing without which nothing can be built.
pub(crate) fn run() -> Result<()> {
    let lines = [
        toolchain(),
        compiler(),
        python(),
        libtorch(),
        rustflags(std::env::var("RUSTFLAGS").ok()),
        place(),
        threads(),
        processor(),
        gpu(),
        cuda(),
        data(),
    ];
    for Line { mark, what, text } in &lines {
        let mark = match mark {
            Mark::Good => "ok  ",
            Mark::Note => "-   ",
            Mark::Missing => "MISS",
        };
        println!("{mark} {what:<10} {text}");
    }
    let missing = lines.iter().filter(|line| line.mark == Mark::Missing).count();
    anyhow::ensure!(missing == 0, "{missing} of these stand in the way; each line says what to do");
    Ok(())
}

/// The first line a program prints, if it is there and works.
fn says(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned();
    output.status.success().then_some(text)
}

fn toolchain() -> Line {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let wanted = env!("CARGO_PKG_RUST_VERSION");
    match says("rustc", &["--version"]) {
        Some(rustc) => {
            let more = says(&cargo, &["--version"]).unwrap_or_default();
            line(Mark::Good, "toolchain", format!("{rustc}; {more} (at least {wanted} is needed)"))
        }
        None => line(Mark::Missing, "toolchain", "no rustc: install it with rustup"),
    }
}

fn compiler() -> Line {
    let chosen = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    match says(&chosen, &["--version"]) {
        Some(text) => line(Mark::Good, "compiler", text),
        None => line(
            Mark::Missing,
            "compiler",
            format!("no C++ compiler ({chosen}): install g++ (Debian: apt-get install g++)"),
        ),
    }
}

fn python() -> Line {
    match setup::python_with_pip() {
        Ok(path) => {
            let path = path.display().to_string();
            let version = says(&path, &["--version"]).unwrap_or_default();
            let pip = says(&path, &["-m", "pip", "--version"]).unwrap_or_default();
            let pip = pip.split(" from ").next().unwrap_or_default().to_owned();
            line(Mark::Good, "python", format!("{version}, {pip} (used by setup alone)"))
        }
        Err(_) => line(
            Mark::Note,
            "python",
            "no python3 with pip: setup needs it once, to download libtorch (Debian: apt-get \
             install python3-pip)",
        ),
    }
}

fn libtorch() -> Line {
    let what = "libtorch";
    match setup::find_own() {
        Err(error) => return line(Mark::Missing, what, format!("{error:#}")),
        Ok(Some(own)) => {
            return match own.check() {
                Ok(()) => line(
                    Mark::Good,
                    what,
                    format!("{} of {}, in {}", own.version, own.variable, own.folder.display()),
                ),
                Err(error) => line(Mark::Missing, what, format!("{error:#}")),
            };
        }
        Ok(None) => {}
    }
    let folder = workspace::libtorch();
    let platform = match setup::here() {
        Ok(platform) => platform,
        Err(error) => return line(Mark::Missing, what, error.to_string()),
    };
    match setup::state(&folder, platform, Flavour::Cpu) {
        State::Whole => {
            let flavour = match Stamp::read(&folder).map(|stamp| stamp.flavour) {
                Some(Flavour::Cuda) => "with CUDA",
                Some(Flavour::Cpu) => "for the CPU",
                None => "of your own",
            };
            let text = format!("{LIBTORCH_VERSION} {flavour}, in {}", folder.display());
            line(Mark::Good, what, text)
        }
        State::Absent => line(Mark::Missing, what, "not there: run cargo xtask setup"),
        State::Stale(reason) => line(
            Mark::Missing,
            what,
            format!("{}: {reason}; run cargo xtask setup", workspace::short(&folder)),
        ),
    }
}

/// Flags of the environment replace those of the configuration, and with them
/// the place where programs look for libtorch.
fn rustflags(value: Option<String>) -> Line {
    match value.filter(|flags| !flags.trim().is_empty()) {
        None => line(Mark::Good, "RUSTFLAGS", "not set (.cargo/config.toml has what is needed)"),
        Some(flags) => line(
            Mark::Note,
            "RUSTFLAGS",
            format!(
                "`{flags}` replaces the flags of .cargo/config.toml: unset it, or programs may \
                 not find libtorch when they start"
            ),
        ),
    }
}

fn place() -> Line {
    let target = workspace::target();
    if target.parent().is_some_and(|parent| parent.join(".libtorch").exists()) {
        return line(Mark::Good, "target", target.display().to_string());
    }
    line(
        Mark::Note,
        "target",
        format!(
            "{} is not beside .libtorch: programs built there need {} in LD_LIBRARY_PATH \
             (cargo xtask sets it)",
            target.display(),
            workspace::libtorch().join("lib").display()
        ),
    )
}

fn threads() -> Line {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let omp = std::env::var("OMP_NUM_THREADS").ok();
    let more = omp.map_or_else(
        || "libtorch uses them all; OMP_NUM_THREADS or threads=N sets fewer".to_owned(),
        |n| format!("OMP_NUM_THREADS={n} limits libtorch"),
    );
    line(Mark::Good, "threads", format!("{cores} ({more})"))
}

#[cfg(target_arch = "x86_64")]
fn processor() -> Line {
    let mut has = Vec::new();
    for (name, there) in [
        ("AVX2", std::is_x86_feature_detected!("avx2")),
        ("AVX-512", std::is_x86_feature_detected!("avx512f")),
        ("AVX-512-BF16", std::is_x86_feature_detected!("avx512bf16")),
    ] {
        if there {
            has.push(name);
        }
    }
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    for (name, flag) in [("AMX-BF16", "amx_bf16"), ("AMX-INT8", "amx_int8")] {
        if has_flag(&flags, flag) {
            has.push(name);
        }
    }
    bf16(&has)
}

#[cfg(not(target_arch = "x86_64"))]
fn processor() -> Line {
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let has: Vec<_> = [("BF16", "bf16"), ("I8MM", "i8mm"), ("SVE", "sve")]
        .into_iter()
        .filter(|(_, flag)| has_flag(&flags, flag))
        .map(|(name, _)| name)
        .collect();
    bf16(&has)
}

fn has_flag(cpuinfo: &str, flag: &str) -> bool {
    cpuinfo
        .lines()
        .filter(|line| line.starts_with("flags") || line.starts_with("Features"))
        .any(|line| line.split_whitespace().any(|word| word == flag))
}

fn bf16(has: &[&str]) -> Line {
    let list = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
    let text = if has.iter().any(|name| name.contains("BF16")) {
        format!("{list}: bf16 is fast here (dtype=bf16 for image networks)")
    } else {
        format!("{list}: no fast bf16 here, f32 is the right dtype")
    };
    line(Mark::Good, "processor", text)
}

fn gpu() -> Line {
    let query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"];
    match says("nvidia-smi", &query) {
        Some(text) => line(Mark::Good, "GPU", text),
        None => line(Mark::Note, "GPU", "none found with nvidia-smi; everything runs on the CPU"),
    }
}

fn cuda() -> Line {
    let library = |folder: &Path| folder.join("lib/libtorch_cuda.so").exists();
    if library(&workspace::libtorch()) {
        return line(Mark::Good, "CUDA", "libtorch_cuda is there (device=cuda)");
    }
    line(Mark::Note, "CUDA", "libtorch is without it; cargo xtask setup --cuda brings it (2 GB)")
}

fn data() -> Line {
    let folder = workspace::root().join("data/fashion-mnist");
    if folder.join("train-images-idx3-ubyte.gz").exists() {
        return line(Mark::Good, "data", workspace::short(&folder));
    }
    line(Mark::Note, "data", "no Fashion-MNIST; cargo xtask data fashion-mnist brings it (30 MB)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_whole_words() {
        let cpuinfo = "model name : x\nflags\t\t: fpu avx512_bf16 amx_bf16x\n";
        assert!(has_flag(cpuinfo, "avx512_bf16"));
        assert!(!has_flag(cpuinfo, "amx_bf16"));
        assert!(!has_flag(cpuinfo, "bf16"));
    }

    #[test]
    fn flags_of_the_environment_are_pointed_out() {
        assert_eq!(rustflags(None).mark, Mark::Good);
        assert_eq!(rustflags(Some(" ".into())).mark, Mark::Good);
        let line = rustflags(Some("-C target-cpu=native".into()));
        assert_eq!(line.mark, Mark::Note);
        assert!(line.text.contains("target-cpu=native"));
    }

    #[test]
    fn a_program_that_is_not_there_says_nothing() {
        assert_eq!(says("no-such-program-anywhere", &[]), None);
        assert_eq!(says("sh", &["-c", "echo one; echo two"]).as_deref(), Some("one"));
    }
}
