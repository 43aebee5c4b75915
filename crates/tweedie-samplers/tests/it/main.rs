//! Samplers against the reference implementations, against exact answers, and against misuse.
#![allow(clippy::unwrap_used, clippy::panic)] // as in any test

mod adaptive;
mod convergence;
mod ddrm;
mod golden;
mod golden_multistep;
mod inversion;
mod langevin;
mod paradigms;
mod promises;
mod short_grids;
mod statistics;
mod stochastic;

use tch::{Device, Kind, Tensor};
use tweedie_core::closed_form::GaussianMixture;
use tweedie_samplers::{AnnealedLangevin, Info, Sampler, SamplerSpec, UnderdampedLangevin};
use tweedie_torch::tensor;

/// The mixture that `golden/make.py` uses.
fn mixture() -> GaussianMixture {
    let means = [vec![-1.0, 0.5], vec![0.8, -0.2]];
    GaussianMixture::new(&[0.3, 0.7], &means, &[0.2, 0.4]).unwrap()
}

const LANGEVIN_STEPS: usize = 10;

/// Every sampler with its defaults, but for Langevin dynamics, which have [`LANGEVIN_STEPS`] a level
/// for the sake of the tests' time.
fn all() -> Vec<(&'static Info, Box<dyn Sampler>)> {
    let named = |info: &'static Info| -> (_, Box<dyn Sampler>) {
        let sampler: Box<dyn Sampler> = match SamplerSpec::by_name(info.name).unwrap() {
            SamplerSpec::AnnealedLangevin(it) => {
                Box::new(AnnealedLangevin { steps: LANGEVIN_STEPS, ..it })
            }
            SamplerSpec::UnderdampedLangevin(it) => {
                Box::new(UnderdampedLangevin { steps: LANGEVIN_STEPS, ..it })
            }
            other => other.build(),
        };
        (info, sampler)
    };
    SamplerSpec::all().iter().map(named).collect()
}

fn rows(values: &[Vec<f64>]) -> Tensor {
    tensor::from_f64(&values.concat(), &[values.len() as i64, values[0].len() as i64]).unwrap()
}

fn unit_noise(batch: i64) -> Tensor {
    let mut noise = tweedie_core::Noise::seeded(11);
    noise.initial(&[batch, 2], Kind::Double, Device::Cpu).unwrap()
}

fn max_difference(a: &Tensor, b: &Tensor) -> f64 {
    f64::try_from((a - b).abs().max()).unwrap()
}
