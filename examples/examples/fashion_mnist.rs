//! The real Fashion-MNIST from IDX files, and the denoiser that needs no training: the mean of the
//! posterior over the images themselves, which is what a network of boundless capacity would learn.
//!
//! `cargo xtask data fashion-mnist`, then
//! `cargo run --release -p tweedie-examples --example fashion_mnist [FOLDER]` writes
//! `fashion_mnist.png`: images, the same under noise, and what is left of them.

#![allow(clippy::print_stdout)] // a program

use anyhow::{Context, Result};
use std::path::PathBuf;
use tweedie::data::idx;
use tweedie::prelude::*;
use tweedie::tch::{Device, Kind, Tensor};
use tweedie_examples::save_grid;

fn main() -> Result<()> {
    tweedie::torch::runtime::init(&Default::default())?;
    let folder = std::env::args().nth(1).unwrap_or_else(|| "data/fashion-mnist".into());
    let test = idx::image_set(&PathBuf::from(&folder), idx::Split::Test)
        .context("`cargo xtask data fashion-mnist` puts the files there")?;
    let train = idx::image_set(&PathBuf::from(&folder), idx::Split::Train)?;
    let denoiser = DataSet::new(&train.all().x)?;

    // Images that the denoiser does not know, at rising noise.
    let images = test.rows(&(0..10).collect::<Vec<_>>()).x;
    let mut rows = vec![images.shallow_clone()];
    for sigma in [0.3, 1.0, 3.0] {
        let eps = Noise::seeded(0).initial(&images.size(), Kind::Float, Device::Cpu)?;
        let x = &images + eps * sigma;
        let x0 = denoiser.denoise(&x, NoiseLevel::ve(sigma))?;
        let error = f64::try_from((&x0 - &images).square().mean(Kind::Double))?;
        println!("sigma {sigma}: mean squared error {error:.4}");
        rows.extend([x, x0]);
    }
    save_grid(&Tensor::cat(&rows, 0), 10, 3, "fashion_mnist.png".as_ref())?;
    println!("fashion_mnist.png");
    Ok(())
}
