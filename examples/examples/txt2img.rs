//! A picture from a prompt: Stable Diffusion in five lines.
//!
//! `cargo run --release -p tweedie-examples --example txt2img -- MODEL PROMPT` writes `txt2img.png`.
//! Without arguments it takes the model of the tests, which is tiny and has learnt nothing.

#![allow(clippy::print_stdout)] // a program

use anyhow::Result;
use std::ops::ControlFlow;
use tweedie::sd::pipeline::{Options, Request};
use tweedie::sd::{StableDiffusion, pipeline::Progress};
use tweedie_examples::model_and_prompt;

fn main() -> Result<()> {
    tweedie::torch::runtime::init(&Default::default())?;
    let (model, prompt) = model_and_prompt();

    let mut sd = StableDiffusion::open(&model, Options::default())?;
    let request = Request { prompt, ..Request::default() };
    let output = sd.generate(&request, &mut |progress| {
        if let Progress::Step { done, steps, .. } = progress {
            println!("step {done} of {steps}");
        }
        ControlFlow::Continue(())
    })?;
    output.pictures[0].save("txt2img.png".as_ref(), &[])?;
    println!("txt2img.png");
    Ok(())
}
