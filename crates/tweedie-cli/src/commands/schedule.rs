//! `tweedie schedule`: nothing here touches libtorch.

use crate::files::OutputFile;
use crate::output::{self, as_usage};
use crate::picture::levels::{Row, levels};
use crate::picture::png;
use crate::recipe::{Layer, merge};
use anyhow::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use toml::{Table, Value};
use tweedie::schedules::{Grid, GridSpec, NoiseLevel, Scale, Schedule, ScheduleSpec};

/// What may be typed.
#[derive(clap::Args, Debug)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Args {
    /// log-linear, ddpm, ldm, sigmoid, cosine, flow, log-normal-flow
    name: String,
    /// Levels of the table
    #[arg(long)]
    n: Option<i64>,
    /// The least noise
    #[arg(long)]
    sigma_min: Option<f64>,
    /// The most noise
    #[arg(long)]
    sigma_max: Option<f64>,
    /// The first beta
    #[arg(long)]
    beta_start: Option<f64>,
    /// The last beta
    #[arg(long)]
    beta_end: Option<f64>,
    /// The first time of a flow
    #[arg(long)]
    t_min: Option<f64>,
    /// The last time of a flow
    #[arg(long)]
    t_max: Option<f64>,
    /// A sampling grid of so many steps instead of the table
    #[arg(long)]
    steps: Option<usize>,
    /// The rule for the grid: trailing, karras, … [default: the schedule's own]
    #[arg(long, requires = "steps")]
    grid: Option<String>,
    /// One object: name and levels, each with t, alpha and sigma
    #[arg(long, conflicts_with = "output")]
    json: bool,
    /// A picture instead of numbers
    #[arg(short)]
    output: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    name: &'a str,
    levels: &'a [Row],
}

/// Runs it.
pub(crate) fn run(args: Args) -> Result<()> {
    let schedule =
        spec::<ScheduleSpec>(&args.name, parameters(&args))?.build().map_err(as_usage)?;
    let rows = match args.steps {
        None => schedule.levels().iter().map(|&level| row(level, &schedule)).collect(),
        Some(steps) => {
            let rule = args.grid.as_deref().map(grid).transpose()?.flatten();
            let grid: Grid = match rule {
                Some(rule) => rule.grid(&schedule, steps),
                None => schedule.grid(steps),
            }
            .map_err(as_usage)?;
            grid.levels().iter().map(|&level| row(level, &schedule)).collect::<Vec<_>>()
        }
    };
    if let Some(path) = &args.output {
        let steps = args.steps.map(|s| format!(", {s} steps")).unwrap_or_default();
        let title = format!("{}{steps}", args.name);
        let file = OutputFile::create(path)?;
        file.write(&png(&levels(&title, &rows)?)?)?;
        return output::print(path.display());
    }
    if args.json {
        return output::json(&Printed { name: &args.name, levels: &rows });
    }
    output::print(format_args!("{:>14} {:>14} {:>14}", "t", "alpha", "sigma"))?;
    for Row { t, alpha, sigma } in &rows {
        output::print(format_args!("{t:>14.6} {alpha:>14.8} {sigma:>14.8}"))?;
    }
    Ok(())
}

fn parameters(args: &Args) -> Table {
    let number = |v: Option<f64>| v.map(Value::Float);
    let given = [
        ("n", args.n.map(Value::Integer)),
        ("sigma_min", number(args.sigma_min)),
        ("sigma_max", number(args.sigma_max)),
        ("beta_start", number(args.beta_start)),
        ("beta_end", number(args.beta_end)),
        ("t_min", number(args.t_min)),
        ("t_max", number(args.t_max)),
    ];
    given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// The grid of a name with its usual parameters.
pub(crate) fn grid(name: &str) -> Result<Option<GridSpec>> {
    spec(name, Table::new()).map(Some)
}

/// What a recipe would say as `type = NAME` and parameters.
fn spec<T: DeserializeOwned>(name: &str, mut parameters: Table) -> Result<T> {
    parameters.insert("type".to_owned(), Value::String(name.to_owned()));
    merge(&[&Layer::given(name, parameters)])
}

/// `t` is the time of a flow, else the place in the table, between places along lambda.
fn row(level: NoiseLevel, schedule: &Schedule) -> Row {
    let t = match schedule.scale() {
        Scale::Flow => level.sigma,
        _ => place(level, schedule.levels()),
    };
    Row { t, alpha: level.alpha, sigma: level.sigma }
}

/// Where `level` is in a table, least noise first; −1 for no noise at all.
fn place(level: NoiseLevel, table: &[NoiseLevel]) -> f64 {
    let lambda = level.lambda();
    let after = table.partition_point(|l| l.lambda() > lambda);
    let before = after.saturating_sub(1);
    match (table.get(before), table.get(after)) {
        _ if level.is_clean() => -1.0,
        (_, Some(next)) if after == 0 || next.lambda() == lambda => after as f64,
        (Some(last), Some(next)) => {
            before as f64 + (lambda - last.lambda()) / (next.lambda() - last.lambda())
        }
        _ => before as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_indices_and_lie_between_them() {
        let table: Vec<NoiseLevel> = [0.01, 0.1, 1.0].map(NoiseLevel::ve).to_vec();
        let at = |sigma| place(NoiseLevel::ve(sigma), &table);
        assert_eq!([0.01, 0.1, 1.0, 0.0, 5.0, 0.001].map(at), [0.0, 1.0, 2.0, -1.0, 2.0, 0.0]);
        assert!((at(0.1_f64.sqrt()) - 1.5).abs() < 1e-12);
    }

    #[test]
    fn options_that_a_schedule_does_not_have_are_refused() {
        let table = |key: &str| Table::from_iter([(key.to_owned(), Value::Float(0.1))]);
        assert!(spec::<ScheduleSpec>("log-linear", table("sigma_min")).is_ok());
        let err = spec::<ScheduleSpec>("log-linear", table("beta_start")).unwrap_err();
        assert!(err.to_string().contains("beta_start"), "{err}");
        let err = spec::<ScheduleSpec>("log-liner", Table::new()).unwrap_err();
        assert!(err.to_string().contains("did you mean `log-linear`?"), "{err}");
    }
}
