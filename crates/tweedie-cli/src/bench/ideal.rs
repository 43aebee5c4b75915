//! The posterior mean over the 60,000 training images of Fashion-MNIST, at noisy training images.

use super::Settings;
use super::measure::{Values, reset_peak, seconds};
use anyhow::{Context, Result};
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};
use tweedie::core::closed_form::DataSet;
use tweedie::core::{Denoiser, Noise, NoiseLevel};

pub(super) fn build(settings: Settings) -> Result<Values> {
    crate::run::start(Some(settings.threads))?;
    let images = images()?;
    reset_peak();
    let times = seconds(0, 1, || DataSet::new(&images))?;
    Ok(times.into())
}

pub(super) fn call(settings: Settings, sigma: f64, batch: i64) -> Result<Values> {
    crate::run::start(Some(settings.threads))?;
    let images = images()?;
    let shape = [batch, 1, 28, 28];
    let noise = Noise::torch(0)?.initial(&shape, Kind::Float, Device::Cpu)?;
    let x = images.narrow(0, 0, batch) + noise * sigma;
    let denoiser = DataSet::new(&images)?;
    reset_peak();
    let _guard = tch::no_grad_guard();
    let times = seconds(2, settings.n(7), || denoiser.denoise(&x, NoiseLevel::ve(sigma)))?;
    Ok(times.into())
}

/// `[60000, 1, 28, 28]` in [−1, 1].
pub(super) fn images() -> Result<Tensor> {
    let named = std::env::var_os("FASHION_MNIST_DIR").map(PathBuf::from);
    let usual = ["data/fashion-mnist", "/usr/share/datasets/fashion-mnist"].map(PathBuf::from);
    let folder = named
        .or_else(|| usual.into_iter().find(|f| f.is_dir()))
        .context("no data/fashion-mnist: `cargo xtask data fashion-mnist` puts it there")?;
    crate::recipe::data::idx_images(&folder)
}
