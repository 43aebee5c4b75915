//! How a request is carried out by a model: the way along the noise levels, and the guidance.

use super::denoiser::Prompted;
use super::request::{GuidanceOptions, GuidanceRule, NoiseKind, Request};
use crate::scheduler::{SchedulerConfig, Start, distilled};
use crate::{Error, Result};
use tch::Tensor;
use tweedie_core::guidance::{Apg, CfgPlusPlus, Guided, Interval, Rescaled};
use tweedie_core::noise::Draw;
use tweedie_core::{Denoiser, Grid, Noise, NoiseLevel};
use tweedie_samplers::SamplerSpec;
use tweedie_schedules::Schedule;

/// The sampler, its grid, and the table whose indices the UNet is told.
pub(super) struct Way {
    pub(super) sampler: SamplerSpec,
    pub(super) schedule: Schedule,
    pub(super) grid: Grid,
    pub(super) start: Start,
    /// The timesteps that a latent consistency model was distilled on, of which a picture to begin with
    /// leaves a part.
    pub(super) distilled: Option<usize>,
}

impl Way {
    /// `consistent` is whether the pipeline is one of a latent consistency model.
    pub(super) fn new(
        request: &Request,
        scheduler: &SchedulerConfig,
        consistent: bool,
    ) -> Result<Self> {
        let sampler = request.sampler.unwrap_or(scheduler.sampler);
        let schedule = scheduler.timesteps(&sampler)?;
        let (grid, start) = match &request.grid {
            Some(rule) => (rule.grid(&schedule, request.steps)?, Start::Level),
            None => scheduler.grid(&sampler, request.steps)?,
        };
        let own = matches!(sampler, SamplerSpec::Consistency(_)) && request.grid.is_none();
        let distilled = (consistent && own).then_some(scheduler.original_inference_steps);
        Ok(Way { sampler, schedule, grid, start, distilled })
    }

    /// That it is long enough for what a request wants, before any of it is gone.
    pub(super) fn check(&self, request: &Request) -> Result<()> {
        let strengths =
            [request.init.as_ref().map(|i| i.strength), request.hires.map(|h| h.strength)];
        strengths.into_iter().flatten().try_for_each(|strength| self.last(strength).map(drop))
    }

    /// The last `strength` of it, as diffusers counts it: `⌊steps·strength⌋` steps; of a latent
    /// consistency model all steps, from the timesteps that are left.
    pub(super) fn last(&self, strength: f64) -> Result<Grid> {
        let steps = self.grid.steps();
        if let Some(original) = self.distilled {
            return distilled(&self.schedule, original, steps, strength);
        }
        let left = ((steps as f64 * strength) as usize).min(steps);
        if left == 0 {
            let expected = format!("at least {:.3} for {steps} steps", 1.0 / steps as f64);
            return Err(Error::invalid("the strength", strength, expected));
        }
        Ok(Grid::from_levels(self.grid.levels()[steps - left..].to_vec())?)
    }

    /// What is left of it from `level` on, which need not be one of its own.
    pub(super) fn after(&self, level: NoiseLevel) -> Result<Grid> {
        // Two models have the same level from tables in single precision.
        let less = |to: &&NoiseLevel| to.ratio() < level.ratio() * (1.0 - 1e-6);
        let levels: Vec<_> =
            [level].iter().chain(self.grid.levels().iter().filter(less)).copied().collect();
        if levels.len() < 2 {
            let (found, end) = (level.ratio(), self.grid.end().ratio());
            let expected = format!("noise to take away: a ratio sigma/alpha above {end}");
            return Err(Error::invalid("the level of the latents", found, expected));
        }
        Ok(Grid::from_levels(levels)?)
    }
}

/// The first `share` of a grid, as diffusers counts it: its steps from timesteps of at least
/// `N·(1 − share)`, of a table with `N`.
pub(super) fn until(grid: &Grid, share: f64, schedule: &Schedule) -> Result<Grid> {
    let n = schedule.len() as f64;
    let cutoff = (n - share * n).round_ties_even();
    // A whole timestep is found again with an error of the twelfth digit.
    let inside = |level: &&NoiseLevel| schedule.timestep(**level) >= cutoff - 1e-6;
    let steps = grid.levels()[..grid.steps()].iter().take_while(inside).count();
    if steps == 0 {
        let steps = grid.steps();
        let expected = format!("more: the first of {steps} steps starts after it");
        return Err(Error::invalid("denoising_end", share, expected));
    }
    Ok(Grid::from_levels(grid.levels()[..=steps].to_vec())?)
}

/// The source of a request's noise.
pub(super) fn noise(request: &Request, seed: u64) -> Result<Noise> {
    Ok(match request.noise {
        NoiseKind::Torch => Noise::torch(seed)?,
        NoiseKind::Seeded => {
            let seeds = (0..request.count as u64).map(|k| seed.wrapping_add(k));
            Noise::per_sample(seeds.collect::<Vec<_>>())
        }
    })
}

/// Noise for something else than the sampler's steps: `nth` tells apart what it is for.
pub(super) fn aside(noise: &mut Noise, nth: usize, like: &Tensor) -> Result<Tensor> {
    // Further than any sampler's steps go.
    let draw = Draw { step: (1 << 20) + nth, nth: 0, between: None };
    let mut out = None;
    Ok(noise.at(draw, like, &mut out)?.shallow_clone())
}

/// The denoiser that a request's guidance makes of the two prompts.
pub(super) fn guided<'a>(
    prompted: Prompted<'a>,
    options: &GuidanceOptions,
    grid: &Grid,
) -> Result<Box<dyn Denoiser + 'a>> {
    let GuidanceOptions { scale, rescale, interval, rule } = *options;
    let off = scale <= 1.0 && rule != GuidanceRule::CfgPlusPlus;
    if off || prompted.guidance.is_some() {
        return Ok(Box::new(prompted));
    }
    let prediction = prompted.prediction;
    let inside: Box<dyn Denoiser + 'a> = match rule {
        GuidanceRule::Cfg if rescale > 0.0 => {
            Box::new(Rescaled { branches: prompted, scale, rescale, prediction })
        }
        GuidanceRule::Cfg => Box::new(Guided { branches: prompted, scale }),
        GuidanceRule::CfgPlusPlus => Box::new(CfgPlusPlus::new(prompted, scale, grid)?),
        GuidanceRule::Apg => Box::new(Apg::new(prompted, scale)),
    };
    match interval {
        Some((low, high)) => Ok(Box::new(Interval::new(inside, prompted, low, high)?)),
        None => Ok(inside),
    }
}
