//! `tweedie samplers`.

use crate::output;
use anyhow::Result;
use tweedie::samplers::SamplerSpec;

/// What may be typed.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// An array of objects
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(crate) fn run(args: Args) -> Result<()> {
    if args.json {
        return output::json(&SamplerSpec::all());
    }
    output::print(format_args!("{:22}{:>5}{:>8}  noise  source", "name", "order", "calls"))?;
    for s in SamplerSpec::all() {
        let noise = if s.stochastic { "yes" } else { "no" };
        let (name, order, calls, source) = (s.name, s.order, s.evaluations, s.source);
        output::print(format_args!("{name:22}{order:>5}{calls:>8}  {noise:5}  {source}"))?;
    }
    Ok(())
}
