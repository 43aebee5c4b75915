//! `tweedie bench samplers`.

use crate::bench::precision::{self, Measure, Point, Precision, Problem};
use crate::commands::{sampler, threads};
use crate::files::{OutputFile, extension};
use crate::output::{self, Progress, usage};
use crate::picture::{self, precision as chart};
use crate::run::{self, Run};
use anyhow::{Context, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use tweedie::samplers::{Info, SamplerSpec};
use tweedie::train::Which;

/// What may be typed.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// gmm (eight normal distributions on a circle, in closed form) or the folder of a run
    #[arg(long, value_name = "gmm|RUN", default_value = "gmm")]
    denoiser: String,
    /// Numbers of steps
    #[arg(long, value_delimiter = ',', default_value = "5,10,20,50",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    steps: Vec<u32>,
    /// Names that `tweedie samplers` lists [default: all]
    #[arg(long, value_delimiter = ',', value_parser = listed)]
    samplers: Vec<&'static Info>,
    /// Samples that each sampler makes [default: 4096, of a run 1000 points or 64 images]
    #[arg(short, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    n: Option<u32>,
    /// Decides the noise
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A picture of error against calls of the denoiser (.png)
    #[arg(short)]
    output: Option<PathBuf>,
    /// A folder for pictures of error against steps, one a family of samplers
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Threads of libtorch [default: all]
    #[arg(long, value_parser = threads)]
    threads: Option<usize>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Samples of the mixture.
const USUAL_COUNT: usize = 4096;

fn listed(name: &str) -> Result<&'static Info, String> {
    sampler(name)?;
    let info = SamplerSpec::all().iter().find(|info| info.name == name);
    info.ok_or_else(|| "no such sampler".to_owned())
}

/// Runs it.
pub(crate) fn run(args: Args) -> Result<()> {
    if let Some(path) = args.output.as_deref().filter(|path| extension(path) != "png") {
        return Err(usage(format!("{}: expected a name ending in .png", path.display())));
    }
    let file = args.output.as_deref().map(OutputFile::create).transpose()?;
    if let Some(folder) = &args.pictures {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let problem = problem(&args)?;
    let steps: Vec<usize> = args.steps.iter().map(|n| *n as usize).collect();
    let all: Vec<&Info> = SamplerSpec::all().iter().collect();
    let samplers = if args.samplers.is_empty() { &all } else { &args.samplers };
    let mut progress = Progress::new("runs", 0, 0);
    let found = precision::measure(&problem, samplers, &steps, |done, of| {
        progress.update(done as u64, of as u64, String::new);
    })?;
    progress.finish();
    if args.json {
        lines(&args.denoiser, &problem, &found)?;
    } else {
        precision::print(&found, &steps)?;
    }
    if let Some(file) = file {
        let panels: Vec<_> = Family::ALL
            .into_iter()
            .filter_map(|family| family.panel(&found, CALLS, |p| p.evaluations))
            .collect();
        file.write(&picture::png(&chart::panels(&panels)?)?)?;
    }
    if let Some(folder) = &args.pictures {
        pictures(folder, &found)?;
    }
    anyhow::ensure!(!found.points.is_empty(), "every one of {} runs failed", found.failed);
    Ok(())
}

fn problem(args: &Args) -> Result<Problem> {
    let count = args.n.map(|n| n as usize);
    if args.denoiser == "gmm" {
        run::start(args.threads)?;
        return Problem::mixture(count.unwrap_or(USUAL_COUNT), args.seed);
    }
    let folder = Path::new(&args.denoiser);
    run::check_exists(folder)?;
    Problem::run(Run::open(folder, args.threads, Which::Last)?, count, args.seed)
}

/// A line a point, and one for what exact samples would have.
fn lines(denoiser: &str, problem: &Problem, found: &Precision) -> Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        case: &'static str,
        denoiser: &'a str,
        order: u32,
        stochastic: bool,
        #[serde(flatten)]
        point: Point,
        floor: Option<f64>,
        n: usize,
    }
    for &point in &found.points {
        let floor = found.floor.filter(|_| point.measure == Measure::SlicedWasserstein);
        let Info { order, stochastic, .. } = *point.sampler;
        let n = problem.count();
        output::json(&Line { case: "samplers", denoiser, order, stochastic, point, floor, n })?;
    }
    Ok(())
}

const CALLS: &str = "calls of the denoiser";
const STEPS: &str = "steps";

fn pictures(folder: &Path, found: &Precision) -> Result<()> {
    for family in Family::ALL {
        if let Some(panel) = family.panel(found, STEPS, |p| p.steps) {
            let path = folder.join(format!("{}.png", family.file()));
            let bytes = picture::png(&chart::panels(&[panel])?)?;
            OutputFile::create(&path)?.write(&bytes)?;
        }
    }
    Ok(())
}

/// Samplers that are drawn together; every one belongs to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    FirstOrder,
    SeveralCalls,
    Multistep,
    Noisy,
    NoisySeveralCalls,
}

impl Family {
    const ALL: [Family; 5] = [
        Family::FirstOrder,
        Family::SeveralCalls,
        Family::Multistep,
        Family::Noisy,
        Family::NoisySeveralCalls,
    ];

    fn of(info: &Info) -> Self {
        match (info.stochastic, info.evaluations, info.order) {
            (true, 1, _) => Family::Noisy,
            (true, ..) => Family::NoisySeveralCalls,
            (false, 1, 1) => Family::FirstOrder,
            (false, 1, _) => Family::Multistep,
            (false, ..) => Family::SeveralCalls,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Family::FirstOrder => "First order",
            Family::SeveralCalls => "Several calls a step",
            Family::Multistep => "Multistep, one call a step",
            Family::Noisy => "With fresh noise, one call a step",
            Family::NoisySeveralCalls => "With fresh noise, several calls a step",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Family::FirstOrder => "first-order",
            Family::SeveralCalls => "several-calls",
            Family::Multistep => "multistep",
            Family::Noisy => "noise",
            Family::NoisySeveralCalls => "noise-several-calls",
        }
    }

    /// Nothing if no point is of the family.
    fn panel(
        self,
        found: &Precision,
        x_axis: &'static str,
        x: impl Fn(&Point) -> usize,
    ) -> Option<chart::Panel> {
        let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
        let mut measure = Measure::Rms;
        // A logarithmic axis has no place for an error of nothing.
        let mine = found.points.iter().filter(|p| Family::of(p.sampler) == self && p.error > 0.0);
        for point in mine {
            let at = (x(point) as f64, point.error);
            measure = point.measure;
            match lines.last_mut() {
                Some((name, line)) if name == point.sampler.name => line.push(at),
                _ => lines.push((point.sampler.name.to_owned(), vec![at])),
            }
        }
        let title = self.title().to_owned();
        let floor = found.floor.filter(|_| measure == Measure::SlicedWasserstein);
        let y_axis = measure.name();
        (!lines.is_empty()).then_some(chart::Panel { title, x_axis, y_axis, lines, floor })
    }
}
