//! `tweedie bench`.

mod samplers;
mod shortcuts;

use crate::bench::{self, Settings};
use crate::commands::threads;
use crate::output::{self, usage};
use anyhow::Result;
use serde_json::Value;

/// What may be typed.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    /// A case, or "all"
    #[arg(required_unless_present = "list", default_value_if("list", "true", "all"))]
    case: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Threads of libtorch [default: all]
    #[arg(long, value_parser = threads)]
    threads: Option<usize>,
    /// Only readings whose name contains this
    #[arg(long, default_value = "", hide_default_value = true)]
    what: String,
    /// Repetitions of each reading
    #[arg(long)]
    repeat: Option<usize>,
    /// What image networks compute in: "auto" is bf16 where the processor multiplies it
    #[arg(long, value_parser = ["f32", "auto"], default_value = "f32")]
    dtype: String,
    /// List the readings
    #[arg(long)]
    list: bool,
    /// In this process, one reading by its whole name
    #[arg(long, hide = true)]
    here: bool,
}

/// What is no timing.
#[derive(clap::Subcommand, Debug)]
enum Other {
    /// Error against calls of the denoiser, for every sampler: the work–precision table
    Samplers(samplers::Args),
    /// Stable Diffusion's shortcuts: speed, and distance to the exact picture
    Shortcuts(shortcuts::Args),
}

/// Runs it.
pub(crate) fn run(args: Args) -> Result<()> {
    match args.other {
        Some(Other::Samplers(args)) => return samplers::run(args),
        Some(Other::Shortcuts(args)) => return shortcuts::run(args),
        None => {}
    }
    let case = args.case.as_deref().unwrap_or("all");
    let cases = bench::cases();
    if case != "all" && !cases.contains(&case) {
        return Err(usage(format!("no case {case:?}; one of {}, all", cases.join(", "))));
    }
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let (threads, repeat) = (args.threads.unwrap_or(available), args.repeat);
    let settings = Settings { threads, repeat, auto: args.dtype == "auto" };
    if args.here {
        return bench::take(case, &args.what, settings);
    }
    let mut failed = 0;
    let readings = bench::list(case, &args.what);
    for &(case, what, unit) in &readings {
        if args.list {
            output::print(format_args!("{case:18}{what:44}{unit}"))?;
            continue;
        }
        match bench::take_apart(case, what, settings) {
            Ok(line) if args.json => output::print(line)?,
            Ok(line) => output::print(table_row(&line)?)?,
            Err(err) => {
                output::complain(&err);
                failed += 1;
            }
        }
    }
    anyhow::ensure!(failed == 0, "{failed} of {} readings failed", readings.len());
    Ok(())
}

fn table_row(line: &str) -> Result<String> {
    let row: Value = serde_json::from_str(line)?;
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let number = |key: &str| row[key].as_f64().unwrap_or_default();
    let (case, what, unit) = (text("case"), text("what"), text("unit"));
    let (median, memory) = (number("median"), number("peak_rss_mb"));
    Ok(format!("{case:18}{what:44}{median:>12} {unit:8} {memory:.0} MB"))
}
