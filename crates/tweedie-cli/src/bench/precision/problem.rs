//! What samplers are compared on: a mixture in closed form, or a trained run.

use crate::run::{Request, Run};
use anyhow::{Context, Result};
use std::f64::consts::TAU;
use tch::{Device, Kind, Tensor};
use tweedie::core::closed_form::GaussianMixture;
use tweedie::core::{Noise, combinators::DenoiserExt};
use tweedie::samplers::{Frame, Rk4, Sampler, SamplerSpec};
use tweedie::schedules::{Grid, Karras};
use tweedie::torch::tensor;

/// A denoiser with what is exact about it.
pub(crate) struct Problem {
    subject: Subject,
    count: usize,
    seed: u64,
    data: Tensor,
}

enum Subject {
    Mixture(GaussianMixture),
    Run(Box<Run>),
}

/// The mixture: eight normal distributions of this standard deviation on a circle of radius 1.
const STD: f64 = 0.1;
const COMPONENTS: usize = 8;

/// Exact samples for each sample that is compared with them, where they can be drawn.
const DATA_PER_SAMPLE: usize = 4;

impl Problem {
    /// Eight normal distributions on a circle, in double precision, along the levels of EDM: 80 to
    /// 0.002 with ρ = 7, without a last step to no noise.
    pub(crate) fn mixture(count: usize, seed: u64) -> Result<Self> {
        let mixture = GaussianMixture::ring(COMPONENTS, 1.0, STD)?;
        let data = drawn(count * DATA_PER_SAMPLE, seed + 1, Shares::Equal)?;
        Ok(Problem { subject: Subject::Mixture(mixture), count, seed, data })
    }

    /// A trained network along the levels of its recipe, unguided, over all classes in turn.
    pub(crate) fn run(run: Run, count: Option<usize>, seed: u64) -> Result<Self> {
        let spec = run.model.network.spec();
        let (data, _) = run.recipe.data.load(&spec, run.recipe.seed)?;
        let data = data.all().x;
        let count = count.unwrap_or_else(|| run.view.usual_count());
        Ok(Problem { subject: Subject::Run(Box::new(run)), count, seed, data })
    }

    /// What a perfect sampler of the distribution would give.
    pub(crate) fn data(&self) -> &Tensor {
        &self.data
    }

    /// How many samples are compared.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// As many exact samples as are compared, where they can be drawn.
    pub(crate) fn exact_samples(&self) -> Result<Option<Tensor>> {
        match self.subject {
            Subject::Mixture(_) => drawn(self.count, self.seed + 2, Shares::Chance).map(Some),
            Subject::Run(_) => Ok(None),
        }
    }

    /// The samples of `sampler` after `steps` steps, and how often the denoiser was asked.
    pub(crate) fn solve(&self, sampler: SamplerSpec, steps: usize) -> Result<(Tensor, usize)> {
        match &self.subject {
            Subject::Mixture(mixture) => {
                let grid = edm(steps)?;
                let denoiser = mixture.by_ref().counted();
                let noise = Noise::seeded(self.seed);
                let x = self.start(&grid)?;
                let x = sampler.build().sample(&denoiser, x, &grid, noise)?;
                Ok((x, denoiser.calls()))
            }
            Subject::Run(run) => {
                let request = self.request(run, sampler, steps)?;
                let samples = run.sample(&request, |_, _| Ok(()))?;
                Ok((tensor::from_f32(&samples.values, &samples.shape)?, samples.evaluations))
            }
        }
    }

    /// The exact solution from the same noise: classical Runge–Kutta in the frame where nothing
    /// grows, along the same rule's levels, several times as many as anything compared takes.
    pub(crate) fn solution(&self, steps: usize) -> Result<Tensor> {
        let finest: &[usize] = match &self.subject {
            Subject::Mixture(_) => &[16],
            // A table has no more levels than it has, and a network is no further exact than f32.
            Subject::Run(_) => &[4, 3, 2, 1],
        };
        let mut last = None;
        for times in finest {
            match self.solve(SamplerSpec::Rk4(Rk4 { frame: Frame::Flow }), times * steps) {
                Ok((x, _)) => return Ok(x),
                Err(err) => last = Some(err),
            }
        }
        Err(last.context("no number of steps to try")?.context("the exact solution"))
    }

    fn start(&self, grid: &Grid) -> Result<Tensor> {
        let shape = [self.count as i64, 2];
        let x = Noise::seeded(self.seed).initial(&shape, Kind::Double, Device::Cpu)?;
        Ok(x * grid.start().sigma)
    }

    fn request(&self, run: &Run, sampler: SamplerSpec, steps: usize) -> Result<Request> {
        let conditional = run.model.network.spec().num_classes().is_some();
        Ok(Request {
            count: self.count,
            steps,
            sampler,
            grid: run.recipe.sample.grid,
            seed: self.seed,
            classes: conditional.then(|| run.classes("all", self.count)).transpose()?,
            guidance_scale: 1.0,
            keep_way: false,
        })
    }
}

/// EDM's levels without the last, which has no noise.
fn edm(steps: usize) -> Result<Grid> {
    let whole = Karras::default().grid(steps + 1)?;
    Ok(Grid::from_levels(whole.levels()[..=steps].to_vec())?)
}

/// How many samples come from each component.
#[derive(Clone, Copy)]
enum Shares {
    /// Equal numbers: the distribution itself, as well as so many points can say.
    Equal,
    /// As chance has it: what a sampler without a fault would give.
    Chance,
}

/// Exact samples of the mixture.
fn drawn(count: usize, seed: u64, shares: Shares) -> Result<Tensor> {
    let shape = [count as i64, 2];
    let noise = Noise::seeded(seed).initial(&shape, Kind::Double, Device::Cpu)?;
    let component = match shares {
        Shares::Equal => Tensor::arange(count as i64, (Kind::Double, Device::Cpu)),
        // The direction of normal noise is uniform.
        Shares::Chance => {
            let direction = Noise::seeded(seed + 1).initial(&shape, Kind::Double, Device::Cpu)?;
            let turns = direction.select(1, 0).atan2(&direction.select(1, 1)) / TAU;
            (turns * COMPONENTS as f64).floor()
        }
    };
    let angle = component * (TAU / COMPONENTS as f64);
    Ok(Tensor::stack(&[angle.cos(), angle.sin()], 1) + noise * STD)
}
