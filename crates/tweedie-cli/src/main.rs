//! The program `tweedie`: parse, run, exit code.
//!
//! Reading order: [`cli`] (what may be typed), [`commands`] (one file each), [`recipe`] (what a
//! training run is made of), [`run`] (a run directory as a denoiser), [`picture`] (everything that
//! is drawn), [`report`] (a run as a page), [`mod@bench`] (the readings that are compared with other
//! libraries'), [`output`] (what goes to stdout, what to stderr).

mod bench;
mod cli;
mod commands;
mod files;
mod memory;
mod output;
mod picture;
mod recipe;
mod report;
mod run;
mod show;
mod training;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    output::trace(cli.verbose);
    match commands::run(cli.command) {
        Ok(code) => code,
        Err(err) if output::is_broken_pipe(&err) => ExitCode::SUCCESS,
        Err(err) => {
            output::complain(&err);
            ExitCode::from(if err.is::<output::Usage>() { 2 } else { 1 })
        }
    }
}
