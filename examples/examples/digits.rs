//! Handwritten digits by class, with classifier-free guidance.
//!
//! `cargo run --release -p tweedie-examples --example digits` writes `digits.png`, a row a class.

#![allow(clippy::print_stdout)] // a program

use anyhow::Result;
use tweedie::prelude::*;
use tweedie::schedules::training::LogNormal;
use tweedie::tch::{Device, Kind};
use tweedie_examples::{save_grid, steps};

const PER_CLASS: i64 = 10;

fn main() -> Result<()> {
    tweedie::torch::runtime::init(&Default::default())?;
    let steps = steps(6_000)?;

    let images = digits::train()?.reshaped(&[64])?;
    let spec = ModelSpec::ConditionalMlp(ConditionalMlpConfig {
        dim: 64,
        hidden_dims: vec![512, 512, 512],
        cond_dim: 32,
        num_classes: 10,
        ..Default::default()
    });
    let objective = Objective {
        parametrization: Parametrization {
            noise_input: NoiseInput::Sigma, // the network takes the logarithm
            ..Parametrization::edm(0.75)
        },
        weighting: Weighting::Edm { sigma_data: 0.75 },
        levels: Box::new(LogNormal::new(-0.6, 1.2)?),
    };
    let loader = Loader::new(images, LoaderConfig::new(128, 0))?;
    let config = Config { ema: EmaConfig::decay(0.999), ..Config::new(steps, 1e-3) };
    let network = spec.build(0, Kind::Float, Device::Cpu)?;
    let mut trainer = Trainer::new(network, objective, loader, config)?;
    while let Some(step) = trainer.next().transpose()? {
        if step.step % 1000 == 0 {
            println!("step {:5}: loss {:.4}", step.step, step.loss);
        }
    }

    // Ten of each class, from the averaged weights.
    let model = trainer.averaged()?;
    let labels: Vec<i64> = (0..10 * PER_CLASS).map(|i| i / PER_CLASS).collect();
    let cond = Cond::class(&labels);
    let null = Cond::class_of(10, 10 * PER_CLASS, Device::Cpu);
    let grid = Karras { sigma_min: 0.01, sigma_max: 20.0, rho: 7.0 }.grid(18)?;
    let mut noise = Noise::seeded(0);
    let x = noise.initial(&[10 * PER_CLASS, 64], Kind::Float, Device::Cpu)? * 20.0;
    let x0 = Heun::default().sample(&model.guided(&cond, &null, 2.0), x, &grid, noise)?;
    save_grid(&x0.reshape([-1, 1, 8, 8]), PER_CLASS as usize, 6, "digits.png".as_ref())?;
    println!("digits.png");
    Ok(())
}
