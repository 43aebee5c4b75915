//! Guidance, noise and posteriors against reference implementations and closed forms.
#![allow(clippy::unwrap_used, clippy::panic)] // as in any test

mod brownian;
mod each;
mod guidance;
mod inverse;

use tch::{Device, Kind, Tensor};
use tweedie_core::{Denoiser, Noise, NoiseLevel, Result};

fn max_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    f64::try_from((a - b).abs().max()).unwrap()
}

fn normal(seed: u64, shape: &[i64]) -> Tensor {
    Noise::seeded(seed).initial(shape, Kind::Double, Device::Cpu).unwrap()
}

/// A denoiser that gives this answer, whatever it is asked.
fn answer(x0: &Tensor) -> impl Denoiser + use<> {
    let x0 = x0.shallow_clone();
    move |_: &Tensor, _: NoiseLevel| -> Result<Tensor> { Ok(x0.shallow_clone()) }
}
