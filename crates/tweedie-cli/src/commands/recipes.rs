//! `tweedie recipes`.

use crate::{output, recipe::shipped};
use anyhow::Result;
use serde_json::json;

/// What may be typed.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Print this recipe's file
    name: Option<String>,
    /// An array of objects
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(crate) fn run(args: Args) -> Result<()> {
    let listed: Vec<_> = match &args.name {
        Some(name) => vec![shipped::by_name(name)?],
        None => shipped::ALL.iter().collect(),
    };
    if args.json {
        let object = |r: &&shipped::Shipped| json!({ "name": r.name, "description": r.description(), "toml": r.text });
        return output::json(&listed.iter().map(object).collect::<Vec<_>>());
    }
    let longest = listed.iter().map(|recipe| recipe.name.len()).max().unwrap_or(0);
    for recipe in &listed {
        match args.name {
            Some(_) => output::print(recipe.text.trim_end())?,
            None => {
                let (name, description) = (recipe.name, recipe.description());
                output::print(format_args!("{name:longest$}  {description}"))?;
            }
        }
    }
    Ok(())
}
