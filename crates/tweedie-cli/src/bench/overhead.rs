//! What a sampler costs beside its denoiser: 50 steps with a denoiser that returns a stored tensor.

use super::Settings;
use super::measure::{Values, reset_peak, seconds};
use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};
use tweedie::core::{Noise, NoiseLevel};
use tweedie::samplers::{Accelerated, DpmPp2MSde, Euler, Heun, Sampler, SamplerSpec};
use tweedie::schedules::{Grid, Karras, Schedule};

const STEPS: usize = 50;

pub(super) fn ddim(settings: Settings, batch: i64) -> Result<Values> {
    steps(settings, &Accelerated::ddim(), &ldm()?, batch)
}

pub(super) fn accelerated(settings: Settings, batch: i64) -> Result<Values> {
    steps(settings, &Accelerated::default(), &ldm()?, batch)
}

pub(super) fn ddpm(settings: Settings, batch: i64) -> Result<Values> {
    steps(settings, &Accelerated::ddpm(), &ldm()?, batch)
}

pub(super) fn euler(settings: Settings, batch: i64) -> Result<Values> {
    steps(settings, &Euler, &karras()?, batch)
}

pub(super) fn heun(settings: Settings, batch: i64) -> Result<Values> {
    steps(settings, &Heun::default(), &karras()?, batch)
}

/// The sampler that `tweedie samplers` lists under `name`.
pub(super) fn named(settings: Settings, name: &str, batch: i64) -> Result<Values> {
    let spec = SamplerSpec::by_name(name).with_context(|| format!("no sampler {name:?}"))?;
    let grid = if name == "ddim" { ldm()? } else { karras()? };
    steps(settings, spec.build().as_ref(), &grid, batch)
}

/// DPM-Solver++ 2M SDE along the path of a Brownian tree.
pub(super) fn brownian(settings: Settings, batch: i64) -> Result<Values> {
    along(settings, &DpmPp2MSde::default(), &karras()?, batch, Noise::brownian)
}

fn ldm() -> Result<Grid> {
    Ok(Schedule::ldm(1000, 0.00085, 0.012)?.grid(STEPS)?)
}

fn karras() -> Result<Grid> {
    Ok(Karras { sigma_min: 0.03, sigma_max: 14.6, rho: 7.0 }.grid(STEPS)?)
}

fn steps(settings: Settings, sampler: &dyn Sampler, grid: &Grid, batch: i64) -> Result<Values> {
    along(settings, sampler, grid, batch, Noise::seeded)
}

fn along(
    settings: Settings,
    sampler: &dyn Sampler,
    grid: &Grid,
    batch: i64,
    noise: fn(u64) -> Noise,
) -> Result<Values> {
    crate::run::start(Some(settings.threads))?;
    let shape = [batch, 4, 64, 64];
    let mut normal = Noise::torch(0)?;
    let x = normal.initial(&shape, Kind::Float, Device::Cpu)?;
    let stored = normal.initial(&shape, Kind::Float, Device::Cpu)? * 0.01;
    let denoiser = move |_: &Tensor, _: NoiseLevel| -> tweedie::core::Result<Tensor> {
        Ok(stored.shallow_clone())
    };
    reset_peak();
    let times = seconds(2, settings.n(15), || {
        // A step that is not kept goes before the next is asked for: its buffer is used again.
        sampler.steps(&denoiser, x.copy(), grid, noise(0))?.try_for_each(|step| step.map(drop))?;
        anyhow::Ok(())
    })?;
    Ok(times.iter().map(|t| t * 1e6 / STEPS as f64).collect::<Vec<_>>().into())
}
