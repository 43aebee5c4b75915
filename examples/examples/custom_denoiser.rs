//! A denoiser of one's own, and what comes with it: every sampler, counting, clipping, guidance.
//!
//! `cargo run --release -p tweedie-examples --example custom_denoiser`

#![allow(clippy::print_stdout)] // a program

use anyhow::Result;
use tweedie::prelude::*;
use tweedie::tch::{Device, Kind, Tensor};

/// Data that are evenly spread over a circle: project, and shrink by what the noise leaves unsure.
/// (The posterior on the circle is a von Mises distribution of concentration `kappa`.)
struct Circle {
    radius: f64,
}

impl Denoiser for Circle {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> tweedie::core::Result<Tensor> {
        let norm = x.square().sum_dim_intlist(-1, true, None::<Kind>).sqrt();
        let kappa = &norm * (level.alpha * self.radius / level.sigma.powi(2));
        // The mean of a von Mises distribution points where x does, with length I1(kappa)/I0(kappa).
        let length = kappa.special_i1e() / kappa.special_i0e();
        Ok(x / norm * length * self.radius)
    }
}

fn main() -> Result<()> {
    let denoiser = Circle { radius: 2.0 }.counted();
    let grid = Karras { sigma_min: 0.01, sigma_max: 20.0, rho: 7.0 }.grid(18)?;
    let mut noise = Noise::seeded(0);
    let x = noise.initial(&[2000, 2], Kind::Float, Device::Cpu)? * 20.0;

    // A sampler is a loop: stop it early, watch it, or keep what it passes through.
    for step in Heun::default().steps(&denoiser, x, &grid, noise)? {
        let step = step?;
        let radius = step.x.square().sum_dim_intlist(-1, false, None::<Kind>).sqrt();
        let spread = radius.std(true).double_value(&[]);
        let mean = radius.mean(Kind::Double).double_value(&[]);
        println!(
            "step {:2}: sigma {:8.4}, radius {mean:7.4} ± {spread:.4}",
            step.index, step.level.sigma
        );
        if step.level.is_clean() {
            anyhow::ensure!((mean - 2.0).abs() < 0.01 && spread < 0.02, "not on the circle");
        }
    }
    println!("{} calls of the denoiser", denoiser.calls());
    Ok(())
}
