//! The work–precision table: for each sampler, calls of the denoiser against error.
//!
//! A sampler that draws no noise approximates the solution of an ordinary differential equation: its
//! error is the distance to that, sample by sample. One that draws noise approximates a
//! distribution: its error is the distance between the set of its samples and that of the data.

mod problem;
mod table;

pub(crate) use problem::Problem;
pub(crate) use table::print;

use crate::output;
use anyhow::Result;
use serde::Serialize;
use tch::Tensor;
use tweedie::eval::sliced::sliced_wasserstein;
use tweedie::samplers::{Info, SamplerSpec};

/// What an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    /// The root of the mean squared distance to the exact solution, of a number of a sample.
    Rms,
    /// The sliced Wasserstein distance to the data.
    SlicedWasserstein,
}

impl Measure {
    /// That of a sampler.
    pub(crate) fn of(info: &Info) -> Self {
        if info.stochastic { Measure::SlicedWasserstein } else { Measure::Rms }
    }

    /// As a table or an axis says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Measure::Rms => "RMS distance to the exact solution",
            Measure::SlicedWasserstein => "sliced Wasserstein distance to the data",
        }
    }
}

/// One sampler with one number of steps.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Point {
    #[serde(serialize_with = "name")]
    pub(crate) sampler: &'static Info,
    pub(crate) steps: usize,
    /// Calls of the denoiser, counted.
    pub(crate) evaluations: usize,
    pub(crate) measure: Measure,
    pub(crate) error: f64,
}

fn name<S: serde::Serializer>(info: &&'static Info, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(info.name)
}

/// What was found.
pub(crate) struct Precision {
    pub(crate) points: Vec<Point>,
    /// The sliced Wasserstein distance that as many exact samples have: no sampler gets below, but
    /// by chance. Known where exact samples can be drawn.
    pub(crate) floor: Option<f64>,
    /// Samplers and numbers of steps without an answer.
    pub(crate) failed: usize,
}

/// Directions of the sliced Wasserstein distance.
const PROJECTIONS: usize = 256;

/// Runs all `samplers` on `problem` with every one of `steps`; `progress` hears how many of how
/// many runs are done. What a sampler fails at is told and left out.
pub(crate) fn measure(
    problem: &Problem,
    samplers: &[&'static Info],
    steps: &[usize],
    mut progress: impl FnMut(usize, usize),
) -> Result<Precision> {
    let _guard = tch::no_grad_guard();
    let most = steps.iter().copied().max().unwrap_or(1);
    let exact = match samplers.iter().all(|info| info.stochastic) {
        true => None,
        false => Some(problem.solution(most)?),
    };
    let (mut points, mut failed) = (Vec::new(), 0);
    let runs: Vec<_> = samplers.iter().flat_map(|s| steps.iter().map(move |n| (*s, *n))).collect();
    for (done, &(sampler, steps)) in runs.iter().enumerate() {
        progress(done, runs.len());
        match point(problem, sampler, steps, exact.as_ref()) {
            Ok(point) => points.push(point),
            Err(err) => {
                let why = output::chain(&err);
                output::note(format_args!("{}, {steps} steps: {why}", sampler.name));
                failed += 1;
            }
        }
    }
    progress(runs.len(), runs.len());
    let floor = problem.exact_samples()?.map(|exact| distance(&exact, problem.data()));
    Ok(Precision { points, floor: floor.transpose()?, failed })
}

fn point(
    problem: &Problem,
    sampler: &'static Info,
    steps: usize,
    exact: Option<&Tensor>,
) -> Result<Point> {
    let spec = SamplerSpec::by_name(sampler.name);
    let spec = spec.ok_or_else(|| anyhow::anyhow!("no sampler of that name"))?;
    let (samples, evaluations) = problem.solve(spec, steps)?;
    let measure = Measure::of(sampler);
    let error = match (measure, exact) {
        (Measure::Rms, Some(exact)) => rms(&samples, exact)?,
        _ => distance(&samples, problem.data())?,
    };
    anyhow::ensure!(error.is_finite(), "its error is {error}");
    Ok(Point { sampler, steps, evaluations, measure, error })
}

fn rms(a: &Tensor, b: &Tensor) -> Result<f64> {
    Ok(f64::try_from((a - b).square().mean(tch::Kind::Double).sqrt())?)
}

fn distance(samples: &Tensor, data: &Tensor) -> Result<f64> {
    Ok(sliced_wasserstein(samples, data, PROJECTIONS, 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn infos(names: &[&str]) -> Vec<&'static Info> {
        SamplerSpec::all().iter().filter(|info| names.contains(&info.name)).collect()
    }

    /// Orders of convergence, counted calls, and a floor: what the table is for.
    #[test]
    fn errors_fall_as_the_orders_say() {
        let problem = Problem::mixture(256, 0).unwrap();
        let samplers = infos(&["euler", "heun", "ddpm"]);
        let found = measure(&problem, &samplers, &[40, 80], |_, _| ()).unwrap();
        assert_eq!((found.points.len(), found.failed), (6, 0));
        let of = |name: &str| -> Vec<&Point> {
            found.points.iter().filter(|p| p.sampler.name == name).collect()
        };
        let order = |name: &str| (of(name)[0].error / of(name)[1].error).log2();
        // At 40 steps the next term of the error still counts.
        assert!((order("euler") - 1.0).abs() < 0.3, "{}", order("euler"));
        assert!((order("heun") - 2.0).abs() < 0.5, "{}", order("heun"));
        assert_eq!((of("euler")[0].evaluations, of("heun")[0].evaluations), (40, 80));
        assert_eq!(of("ddpm")[0].measure, Measure::SlicedWasserstein);
        assert!(found.floor.unwrap() < of("ddpm")[0].error);
    }

    /// A reference that were no better than what it judges would hide the best samplers' errors.
    #[test]
    fn the_reference_is_finer_than_what_it_judges() {
        let problem = Problem::mixture(64, 0).unwrap();
        let (coarse, fine) = (problem.solution(20).unwrap(), problem.solution(80).unwrap());
        assert!(rms(&coarse, &fine).unwrap() < 1e-7);
    }
}
