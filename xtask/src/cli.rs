//! The command line: one enum, one match.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{bench, ci, compare, data, demo, doctor, setup, suite, tidy};

/// Commands for the people who build, test and measure tweedie.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Assemble libtorch in .libtorch/ (does nothing where it is whole)
    Setup(setup::Options),
    /// Set up, train Swiss roll and digits, and draw samples of both
    Demo(demo::Options),
    /// Set up, then run every test of the workspace, doc tests included
    Test {
        /// Arguments for `cargo test` (before a second --) and the test programs (after it)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Say what is installed, what is missing and what to do about it
    Doctor,
    /// Fetch a data set into data/
    Data {
        #[command(subcommand)]
        set: data::Set,
    },
    /// Tests, formatting, lints, docs, tidy and examples: what CI runs
    Ci(ci::Options),
    /// Run benchmarks of tweedie and of its Python peers in one sitting, and print the ratios
    Compare(compare::Options),
    /// Time everything into a dated file, or say what became slower between two of them
    Bench(bench::Options),
    /// Check file lengths, crate arrows, links, licences and package contents
    Tidy {
        /// The workspace to check
        #[arg(long, hide = true)]
        root: Option<PathBuf>,
    },
}

/// Runs the chosen command.
///
/// # Errors
/// Whatever the command could not do, in a sentence.
pub(crate) fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Setup(options) => setup::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Test { args } => suite::test(&args),
        Command::Doctor => doctor::run(),
        Command::Data { set } => data::run(&set),
        Command::Ci(options) => ci::run(&options),
        Command::Compare(options) => compare::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Tidy { root } => tidy::run(root.as_deref()),
    }
}
