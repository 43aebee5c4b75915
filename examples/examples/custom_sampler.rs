//! A sampler of one's own: the explicit midpoint rule on the probability-flow ODE.
//!
//! `cargo run --release -p tweedie-examples --example custom_sampler` measures its order against
//! Euler's: halving the steps' length must quarter its error.

#![allow(clippy::print_stdout)] // a program

use anyhow::Result;
use tweedie::prelude::*;
use tweedie::samplers::Solver;
use tweedie::tch::{Device, Kind, Tensor};

/// Half a step of Euler to the geometric mean of the levels, a whole step with the slope there.
struct Midpoint;

impl Sampler for Midpoint {
    fn solver(&self) -> tweedie::core::Result<Solver> {
        let mut scratch = None;
        Ok(Box::new(move |run| {
            let (from, to) = (run.level(), run.next_level());
            let middle = NoiseLevel::ve((from.sigma * to.sigma).sqrt());
            let keep = middle.sigma / from.sigma;
            let x0 = run.denoise()?;
            let x_middle = run.combine(&mut scratch, &[(keep, run.x()), (1.0 - keep, &x0)])?;
            let x0_middle = run.denoise_at(x_middle, middle)?;
            // x' = x + (sigma' − sigma)·(x_middle − x0_middle) / sigma_middle
            let slope = (to.sigma - from.sigma) / middle.sigma;
            run.advance(1.0, &[(slope, x_middle), (-slope, &x0_middle)], 0.0)?;
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        2 * grid.steps()
    }
}

fn main() -> Result<()> {
    let denoiser = GaussianMixture::ring(8, 1.0, 0.2)?;
    let start = Noise::seeded(0).initial(&[256, 2], Kind::Double, Device::Cpu)? * 10.0;
    let end = |sampler: &dyn Sampler, steps: i32| -> Result<Tensor> {
        let sigmas: Vec<f64> =
            (0..=steps).map(|i| 10.0 * 0.005f64.powf(f64::from(i) / f64::from(steps))).collect();
        let grid = Grid::from_sigmas(&sigmas)?;
        Ok(sampler.sample(&denoiser, start.copy(), &grid, Noise::seeded(0))?)
    };
    let exact = end(&Midpoint, 4096)?;
    let error = |sampler: &dyn Sampler, steps| -> Result<f64> {
        Ok(f64::try_from((end(sampler, steps)? - &exact).abs().mean(Kind::Double))?)
    };
    println!("{:>6} {:>12} {:>12}", "steps", "euler", "midpoint");
    for steps in [32, 64, 128, 256] {
        println!("{steps:>6} {:>12.2e} {:>12.2e}", error(&Euler, steps)?, error(&Midpoint, steps)?);
    }
    let order = (error(&Midpoint, 128)? / error(&Midpoint, 256)?).log2();
    println!("order of the midpoint rule: {order:.2}");
    anyhow::ensure!((order - 2.0).abs() < 0.3, "the midpoint rule has lost its order");
    Ok(())
}
