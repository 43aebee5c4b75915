//! Where samplers walk in a model's table.

use super::{SchedulerConfig, Sigmas, Spacing};
use crate::{Error, Result};
use tweedie_core::{Grid, NoiseLevel};
use tweedie_samplers::SamplerSpec;
use tweedie_schedules::grid::{Convention, End};
use tweedie_schedules::{Exponential, Karras, Leading, Linspace, Schedule, Trailing};

impl SchedulerConfig {
    /// The table that a kind of sampler walks on: with a last level of pure noise if that is wanted, or
    /// nearly so for samplers in sigma, which have no start there (diffusers' `alpha_bar` of 2⁻²⁴).
    fn table_for(&self, convention: Convention) -> Result<Schedule> {
        let table = self.schedule()?;
        match (self.rescale_betas_zero_snr, convention) {
            (false, _) => Ok(table),
            (true, Convention::Ddim) => Ok(table.with_terminal_alpha(0.0)?),
            (true, _) => Ok(table.with_terminal_alpha(2_f64.powi(-12))?),
        }
    }

    /// Where `sampler` walks in `steps` steps, placed as diffusers would place its own; and whether it
    /// starts from unit noise or from noise of the grid's first level.
    ///
    /// # Errors
    /// For no steps, and more than the table has.
    pub fn grid(&self, sampler: &SamplerSpec, steps: usize) -> Result<(Grid, Start)> {
        let convention = convention(sampler);
        let schedule = self.table_for(convention)?;
        if let SamplerSpec::Consistency(_) = sampler {
            let grid = distilled(&schedule, self.original_inference_steps, steps, 1.0)?;
            return Ok((grid, Start::Unit));
        }
        let zero = match convention {
            _ if matches!(sampler, SamplerSpec::Ddpm(_)) => true,
            Convention::Ddim => self.set_alpha_to_one.unwrap_or(!is_pndm(sampler)),
            _ => self.final_sigma_zero.unwrap_or(true),
        };
        let end = if zero { End::Clean } else { End::Least };
        let spacing = self.spacing.unwrap_or(match convention {
            Convention::Ddim => Spacing::Leading,
            _ => Spacing::Linspace,
        });
        let start = match (convention, spacing) {
            (Convention::Euler, Spacing::Linspace | Spacing::Trailing) => Start::Level,
            _ => Start::Unit,
        };
        let offset = self.steps_offset;
        let placed = match spacing {
            Spacing::Leading => Leading { offset, convention, end }.grid(&schedule, steps)?,
            Spacing::Trailing => Trailing { end }.grid(&schedule, steps)?,
            Spacing::Linspace => Linspace { convention, end }.grid(&schedule, steps)?,
        };
        let grid = match (self.sigmas, convention) {
            (None, _) | (_, Convention::Ddim) => placed,
            (Some(rule), Convention::Euler) => {
                between(&schedule, rule, placed.levels()[steps - 1], placed.start(), steps)?
            }
            (Some(rule), Convention::DpmSolver) => {
                between(&schedule, rule, schedule.least(), schedule.most(), steps)?
            }
        };
        Ok((grid, start))
    }

    /// The table whose indices the UNet is told.
    pub(crate) fn timesteps(&self, sampler: &SamplerSpec) -> Result<Schedule> {
        self.table_for(convention(sampler))
    }
}

/// How large the noise is that sampling starts from, at the level of a grid's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Of unit variance, as if there were no signal.
    Unit,
    /// The level's own.
    Level,
}

/// The levels of a latent consistency model (diffusers' `LCMScheduler`), and clean data: `steps` of the
/// first `strength` of the `original` timesteps that it was distilled on, evenly spread from the last
/// one down. A picture to begin with shortens the way and not, as elsewhere, the number of steps.
pub(crate) fn distilled(
    schedule: &Schedule,
    original: usize,
    steps: usize,
    strength: f64,
) -> Result<Grid> {
    let n = schedule.len();
    if !(1..=n).contains(&original) {
        let expected = format!("1 to {n}, the levels of the table");
        return Err(Error::invalid("original_inference_steps", original, expected));
    }
    let kept = ((original as f64 * strength) as usize).min(original);
    if !(1..=kept).contains(&steps) {
        let expected = format!(
            "1 to {kept}: at strength {strength}, of the {original} that the model was distilled on"
        );
        return Err(Error::invalid("steps", steps, expected));
    }
    let timestep = |i: usize| (kept - i * kept / steps) * (n / original) - 1;
    let levels = (0..steps).map(|i| schedule.levels()[timestep(i)]);
    Ok(Grid::from_levels(levels.chain([schedule.scale().level(0.0)]).collect())?)
}

/// Levels by a rule from `most` down to `least`, and clean data.
fn between(
    schedule: &Schedule,
    rule: Sigmas,
    least: NoiseLevel,
    most: NoiseLevel,
    steps: usize,
) -> Result<Grid> {
    let (sigma_min, sigma_max) = (least.ratio(), most.ratio());
    let sigmas = match rule {
        Sigmas::Karras => Karras { sigma_min, sigma_max, rho: 7.0 }.grid(steps)?,
        Sigmas::Exponential => Exponential { sigma_min, sigma_max }.grid(steps)?,
    };
    Ok(sigmas.on(schedule.scale())?)
}

/// Whose place a sampler's grid has: that of the diffusers scheduler that is the same method.
fn convention(sampler: &SamplerSpec) -> Convention {
    use SamplerSpec as S;
    match sampler {
        S::Ddpm(_) | S::Ddim | S::Consistency(_) | S::Accelerated(_) | S::Pndm(_) | S::Plms => {
            Convention::Ddim
        }
        S::DpmSolver(_)
        | S::DpmPp2S
        | S::DpmPp2M(_)
        | S::DpmPp3M(_)
        | S::DpmPp2MSde(_)
        | S::DpmPp3MSde(_)
        | S::UniPc(_)
        | S::Deis(_)
        | S::SaSolver(_)
        | S::ExponentialAb(_) => Convention::DpmSolver,
        _ => Convention::Euler,
    }
}

fn is_pndm(sampler: &SamplerSpec) -> bool {
    matches!(sampler, SamplerSpec::Pndm(_) | SamplerSpec::Plms)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `LCMScheduler(original_inference_steps=…).set_timesteps(steps, strength=…)` of diffusers 0.42.1.
    #[test]
    fn distilled_timesteps_are_those_of_latent_consistency_models() {
        let schedule = Schedule::ldm(1000, 0.00085, 0.012).unwrap();
        let timesteps = |original, steps, strength| -> Vec<usize> {
            let grid = distilled(&schedule, original, steps, strength).unwrap();
            grid[..steps].iter().map(|&level| schedule.nearest_timestep(level)).collect()
        };
        assert_eq!(timesteps(50, 4, 1.0), [999, 759, 499, 259]);
        assert_eq!(timesteps(50, 3, 1.0), [999, 679, 339]);
        assert_eq!(timesteps(49, 4, 1.0), [979, 739, 499, 259]);
        assert_eq!(timesteps(50, 50, 1.0).last(), Some(&19));
        assert_eq!(timesteps(50, 4, 0.5), [499, 379, 259, 139]);
        assert_eq!(timesteps(50, 3, 0.6), [599, 399, 199]);
        assert_eq!(timesteps(50, 8, 0.33), [319, 279, 239, 199, 159, 119, 79, 39]);
        assert_eq!(timesteps(50, 5, 0.1), [99, 79, 59, 39, 19]);
        assert_eq!(timesteps(50, 2, 0.05), [39, 19]);
        assert_eq!(timesteps(30, 4, 0.5), [494, 395, 263, 131]);
        for (original, steps, strength) in
            [(50, 51, 1.0), (50, 6, 0.1), (50, 1, 0.01), (0, 1, 1.0), (1001, 4, 1.0)]
        {
            assert!(distilled(&schedule, original, steps, strength).is_err());
        }
    }
}
