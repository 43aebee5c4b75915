//! `cargo xtask test`: cargo's own, with libtorch in place.

use std::thread;

use anyhow::Result;

use crate::{setup, workspace};

/// Runs every test of the workspace, doc tests included.
///
/// # Errors
/// When libtorch cannot be set up, or a test fails.
pub(crate) fn test(args: &[String]) -> Result<()> {
    setup::ensure()?;
    let mut command = workspace::cargo();
    command.args(["test", "--workspace"]).arg("--jobs").arg(jobs().to_string());
    // The tests of a program run side by side already: threads inside
    // libtorch on top of that would only wait for each other.
    command.env("OMP_NUM_THREADS", "1");
    workspace::run(command.args(args))
}

/// Compilers at a time: one a core, as far as 2 GB each go (torch-sys' C++
/// takes that much).
pub(crate) fn jobs() -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    jobs_for(cores, available_kb(&text))
}

fn available_kb(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn jobs_for(cores: usize, available_kb: Option<u64>) -> usize {
    let fit = available_kb.map_or(cores, |kb| usize::try_from(kb / 2_000_000).unwrap_or(cores));
    fit.clamp(1, cores.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_fit_cores_and_memory() {
        assert_eq!(jobs_for(2, Some(24_000_000)), 2);
        assert_eq!(jobs_for(16, Some(8_000_000)), 4);
        assert_eq!(jobs_for(4, Some(500_000)), 1);
        assert_eq!(jobs_for(8, None), 8);
        let meminfo = "MemTotal:  9 kB\nMemAvailable:   23456789 kB\n";
        assert_eq!(available_kb(meminfo), Some(23_456_789));
    }
}
