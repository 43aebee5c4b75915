//! What activation checkpointing saves: peak memory of training steps, without and with it.
//!
//! `cargo run --release -p tweedie-examples --example checkpoints` trains smalldiffusion's
//! Fashion-MNIST networks and a larger DiT on noise, each in a process of its own, whose peak
//! memory Linux tells.

#![allow(clippy::print_stdout)] // a program

use anyhow::{Context, Result, bail, ensure};
use std::process::Command;
use std::time::Instant;
use tweedie::core::{Cond, Network};
use tweedie::models::ModelSpec;
use tweedie::models::dit::{DitConfig, DitSize};
use tweedie::models::unet::UnetConfig;
use tweedie::tch::{Device, Kind, Tensor};
use tweedie::torch::rng::Generator;
use tweedie_examples::steps;

const NAMES: [&str; 3] = ["dit", "unet", "dit-s-2"];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, checkpoints] = &arguments[..] {
        return train(name, checkpoints == "with");
    }
    ensure!(arguments.is_empty(), "no arguments, or a network's name and `with` or `without`");
    println!("network   batch  checkpoints  weights  peak     s/step");
    for name in NAMES {
        for checkpoints in ["without", "with"] {
            let status =
                Command::new(std::env::current_exe()?).args([name, checkpoints]).status()?;
            ensure!(status.success(), "{name} {checkpoints}: {status}");
        }
    }
    Ok(())
}

/// The settings of a network, and a batch.
fn subject(name: &str) -> Result<(ModelSpec, i64)> {
    Ok(match name {
        "dit" => (ModelSpec::Dit(DitConfig::fashion_mnist()), 64),
        "unet" => (ModelSpec::Unet(UnetConfig::fashion_mnist()), 32),
        "dit-s-2" => (ModelSpec::Dit(DitConfig::paper(DitSize::S, 2, 32)), 8),
        _ => bail!("{name} is not one of {NAMES:?}"),
    })
}

fn train(name: &str, checkpoints: bool) -> Result<()> {
    tweedie::torch::runtime::init(&Default::default())?;
    let (spec, batch) = subject(name)?;
    let mut network = spec.build(0, Kind::Float, Device::Cpu)?;
    network.checkpoint_activations(checkpoints);
    let mut shape = vec![batch];
    shape.extend(spec.sample_shape());
    let mut rng = Generator::new(0)?;
    let x = rng.normal(&shape, Kind::Float)?;
    let noise = Tensor::full([batch], 1.0, (Kind::Float, Device::Cpu));
    let cond: Option<Cond> = network.null_cond(batch);
    let steps = steps(3)?.max(1);
    let start = Instant::now();
    for _ in 0..steps {
        let mut loss = |y: &Tensor| {
            let far = y - &x;
            Ok((far.square().mean(Kind::Float), far * (2.0 / y.numel() as f64)))
        };
        network.gradients(&x, &noise, cond.as_ref(), &mut rng, &mut loss)?;
    }
    let seconds = start.elapsed().as_secs_f64() / steps as f64;
    let weights = network.parameters().count() as f64 * 4e-6;
    let with = if checkpoints { "with" } else { "without" };
    let peak = peak_megabytes()?;
    println!("{name:8}  {batch:5}  {with:11}  {weights:4.0} MB  {peak:5.0} MB  {seconds:.2}");
    Ok(())
}

/// The most memory that this process has had.
fn peak_megabytes() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("this needs Linux")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    Ok(kilobytes.context("no VmHWM")? / 1e3)
}
