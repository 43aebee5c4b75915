//! Stable Diffusion as smalldiffusion drives it: the UNet is a network that is told sigma, the
//! levels are those of latent diffusion, and the sampler is the accelerated one (`gam = 1.6`).
//!
//! `cargo run --release -p tweedie-examples --example stable_diffusion_ldm -- MODEL PROMPT` writes
//! `stable_diffusion_ldm.png`. Without arguments it takes the model of the tests, which is tiny and
//! has learnt nothing.

#![allow(clippy::print_stdout)] // a program

use anyhow::{Result, ensure};
use tweedie::prelude::*;
use tweedie::sd::Unet;
use tweedie::sd::pipeline::{Conditions, Options, Request};
use tweedie::tch::{Device, Kind, Tensor};
use tweedie_examples::model_and_prompt;

/// The UNet was trained on timesteps: the place of sigma in the table.
struct LatentDiffusion<'a> {
    unet: &'a Unet,
    schedule: &'a Schedule,
}

impl Network for LatentDiffusion<'_> {
    fn forward(
        &self,
        x: &Tensor,
        sigma: &Tensor,
        cond: Option<&Cond>,
    ) -> tweedie::core::Result<Tensor> {
        let level = NoiseLevel::ve(sigma.double_value(&[0]));
        let timestep = self.schedule.nearest_timestep(level) as i64;
        let timesteps = Tensor::full_like(sigma, timestep);
        let cond = cond.ok_or_else(|| {
            tweedie::core::Error::Condition("this UNet draws nothing without a prompt".to_owned())
        })?;
        Ok(self.unet.forward(x, &timesteps, cond, None)?)
    }
}

/// Latents of a prompt, in twenty steps.
fn draw(unet: &Unet, prompt: &Conditions) -> Result<Tensor> {
    // What the network sees is x/√(1 + sigma²), what it says is the noise.
    let schedule = Schedule::ldm(1000, 0.00085, 0.012)?;
    let network = LatentDiffusion { unet, schedule: &schedule };
    let parametrization =
        Parametrization { scaling: Scaling::Scaled, ..Parametrization::default() };
    let model = Model::new(network, parametrization)?;
    let guided = model.guided(&prompt.cond, &prompt.null, 7.5);

    let grid = schedule.grid(20)?;
    let (channels, side) = (unet.config().out_channels, unet.config().sample_size);
    let mut noise = Noise::seeded(0);
    let x = noise.initial(&[1, channels, side, side], Kind::Float, Device::Cpu)?;
    let x = x * grid.start().sigma;
    Ok(Accelerated { gam: 1.6, mu: 0.0 }.sample(&guided, x, &grid, noise)?)
}

fn main() -> Result<()> {
    tweedie::torch::runtime::init(&Default::default())?;
    let (model, prompt) = model_and_prompt();
    let mut sd = StableDiffusion::open(&model, Options::default())?;
    ensure!(sd.scheduler().prediction == Prediction::Eps, "expected a model that predicts noise");

    let prompt = sd.prompts(&Request { prompt, ..Request::default() })?;
    let latents = draw(sd.unet()?, &prompt)?;
    sd.decode(&latents)?[0].save("stable_diffusion_ldm.png".as_ref(), &[])?;
    println!("stable_diffusion_ldm.png");
    Ok(())
}
