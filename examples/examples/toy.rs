//! A diffusion model of a spiral, from data to picture: smalldiffusion's first example.
//!
//! `cargo run --release -p tweedie-examples --example toy` writes `toy.png`.

#![allow(clippy::print_stdout)] // a program

use anyhow::Result;
use tweedie::prelude::*;
use tweedie::tch::{Device, Kind};
use tweedie_examples::{save_scatter, steps};

fn main() -> Result<()> {
    tweedie::torch::runtime::init(&Default::default())?;
    let steps = steps(10_000)?;

    // Data, network, and the noise levels to train at.
    let points = toy::by_name("swissroll", 2000, 0)?.dataset()?;
    let schedule = Schedule::log_linear(200, 0.005, 10.0)?;
    let spec = ModelSpec::TimeInputMlp(TimeInputMlpConfig {
        dim: 2,
        hidden_dims: vec![16, 128, 128, 128, 128, 16],
    });
    let network = spec.build(0, Kind::Float, Device::Cpu)?;

    // The network learns to say which noise was added.
    let objective = Objective {
        parametrization: Parametrization::default(),
        weighting: Weighting::Uniform,
        levels: Box::new(schedule.clone()),
    };
    let loader = Loader::new(points, LoaderConfig::new(512, 0))?;
    let mut trainer = Trainer::new(network, objective, loader, Config::new(steps, 1e-3))?;
    while let Some(step) = trainer.next().transpose()? {
        if step.step % 1000 == 0 {
            println!("step {:5}: loss {:.4}", step.step, step.loss);
        }
    }

    // From noise to data in twenty steps.
    let grid = schedule.grid(20)?;
    let mut noise = Noise::seeded(0);
    let x = noise.initial(&[2000, 2], Kind::Float, Device::Cpu)? * grid.levels()[0].sigma;
    let x0 = Accelerated::default().sample(trainer.model(), x, &grid, noise)?;
    save_scatter(&x0, 1.5, "toy.png".as_ref())?;
    println!("toy.png");
    Ok(())
}
