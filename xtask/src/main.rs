//! The workspace's own commands, run as `cargo xtask COMMAND`.
//!
//! Each module is one command, or one part of one; `setup` is what the others
//! stand on. Reading order: [`workspace`] (paths and child processes), [`setup`],
//! then any command.
//!
//! This package never depends on `tch`: it must build on a machine where there
//! is no libtorch yet, since it is what brings libtorch there.

// A program that talks to a person: what it has to say goes to the terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod ci;
mod cli;
mod compare;
mod data;
mod demo;
mod doctor;
mod progress;
mod setup;
mod suite;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::run(cli::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
