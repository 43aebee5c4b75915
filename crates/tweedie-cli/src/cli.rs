//! What may be typed.

use crate::commands::{
    bench, draw, eval, inspect, plot, recipes, report, sample, samplers, schedule, train,
};
use clap::{Parser, Subcommand};

/// Train, sample, plot, inspect and bench diffusion models.
///
/// Results go to stdout, everything else to stderr.
/// Exit code 2 says that the command line or the recipe is wrong, 1 that the work failed.
#[derive(Parser, Debug)]
#[command(name = "tweedie", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    /// Say more on stderr (RUST_LOG chooses what)
    #[arg(long, global = true)]
    pub(crate) verbose: bool,
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Train a model from a recipe
    Train(train::Args),
    /// Sample from a run
    Sample(sample::Args),
    /// Draw a picture from a prompt, with Stable Diffusion
    #[command(name = "txt2img")]
    Txt2Img(Box<draw::Txt2Img>),
    /// Draw a picture from a prompt and another picture
    #[command(name = "img2img")]
    Img2Img(Box<draw::Img2Img>),
    /// Draw a part of a picture anew
    Inpaint(Box<draw::Inpaint>),
    /// Draw a picture larger: enlarge it, add noise and draw its detail anew
    Upscale(Box<draw::Upscale>),
    /// Measure how good samples are, against the data
    Eval(eval::Args),
    /// Draw the loss and the samples of a run
    Plot(plot::Args),
    /// Tell all of a run in one HTML page
    Report(report::Args),
    /// Print the noise levels of a schedule, or of a sampling grid over it
    Schedule(schedule::Args),
    /// List the samplers
    Samplers(samplers::Args),
    /// List the recipes that ship with the program
    Recipes(recipes::Args),
    /// Say what is in a safetensors file, reading its header alone
    Inspect(inspect::Args),
    /// Time this program at the work that other libraries are timed at
    Bench(bench::Args),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }
}
