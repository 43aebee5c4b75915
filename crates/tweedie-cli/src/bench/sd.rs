//! Stable Diffusion 1.5's parts at their true size, with random weights: `PEERS_SD_DIR`, which
//! `benches/peers/make_sd_random.py --full` makes.

use super::Settings;
use super::measure::{Values, reset_peak, seconds};
use anyhow::{Context, Result, ensure};
use std::ops::ControlFlow;
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};
use tweedie::core::{Cond, Noise};
use tweedie::samplers::SamplerSpec;
use tweedie::sd::files::{Files, OpenOptions, Part};
use tweedie::sd::pipeline::{NoiseKind, Options, Request};
use tweedie::sd::text::PromptOptions;
use tweedie::sd::{ClipText, StableDiffusion, Unet, Vae};
use tweedie::torch::runtime;

/// Where the model is.
pub(super) fn folder() -> PathBuf {
    let named = std::env::var_os("PEERS_SD_DIR").map(PathBuf::from);
    named.unwrap_or_else(|| std::env::temp_dir().join("sd15-random"))
}

fn begin(settings: Settings) -> Result<(Files, Kind)> {
    let folder = folder();
    let advice = "make_sd_random.py --full makes it, PEERS_SD_DIR names it";
    ensure!(folder.is_dir(), "{} is not there: {advice}", folder.display());
    crate::run::start(Some(settings.threads))?;
    let kind = if settings.auto { runtime::fast_kind(Device::Cpu) } else { Kind::Float };
    Ok((Files::open(&folder, &OpenOptions::default())?, kind))
}

fn unet(files: &Files, kind: Kind) -> Result<Unet> {
    Ok(Unet::new(files.unet_config().clone(), files.unet()?, kind, Device::Cpu)?)
}

fn vae(files: &Files, kind: Kind) -> Result<Vae> {
    Ok(Vae::new(files.vae_config().clone(), files.vae()?, kind, Device::Cpu)?)
}

fn text(files: &Files, kind: Kind) -> Result<ClipText> {
    let (config, store) = files.text_encoder(Part::TextEncoder)?;
    Ok(ClipText::new("text_encoder", config, store, kind, Device::Cpu)?)
}

fn noise(shape: &[i64]) -> Result<Tensor> {
    Ok(Noise::torch(0)?.initial(shape, Kind::Float, Device::Cpu)?)
}

/// Loads all three networks and reads every weight.
pub(super) fn load(settings: Settings) -> Result<Values> {
    let (files, kind) = begin(settings)?;
    let times = seconds(1, settings.n(3), || -> Result<f64> {
        let networks = (unet(&files, kind)?, vae(&files, kind)?, text(&files, kind)?);
        let stores = [files.unet()?, files.vae()?, files.text_encoder(Part::TextEncoder)?.1];
        let mut sum = 0.0;
        for store in &stores {
            for name in store.names() {
                if let Some(t) = store.get(name)? {
                    sum += f64::try_from(t.sum(Kind::Float))?;
                }
            }
        }
        drop(networks);
        Ok(sum)
    })?;
    Ok(times.into())
}

/// A prompt to token ids, in microseconds.
pub(super) fn tokenizer(settings: Settings) -> Result<Values> {
    let tokenizer = begin(settings)?.0.tokenizer(Part::TextEncoder)?;
    let prompt = "an astronaut riding a horse on the moon, oil painting";
    let times = seconds(3, settings.n(20), || tokenizer.encode(prompt, PromptOptions::default()))?;
    Ok(times.into_iter().map(|t| t * 1e6).collect::<Vec<_>>().into())
}

/// 77 tokens.
pub(super) fn text_encoder(settings: Settings) -> Result<Values> {
    let (files, kind) = begin(settings)?;
    let text = text(&files, kind)?;
    let ids = Tensor::from_slice(&(0..77).collect::<Vec<i64>>()).unsqueeze(0);
    reset_peak();
    Ok(seconds(1, settings.n(5), || text.forward(&ids))?.into())
}

/// Both branches of guidance over a latent of 32 × 32.
pub(super) fn unet_forward(settings: Settings) -> Result<Values> {
    let (files, kind) = begin(settings)?;
    let unet = unet(&files, kind)?;
    let width = unet.config().cross_attention_dim;
    let cond = Cond { context: Some(noise(&[2, 77, width])?), ..Cond::default() };
    let (x, t) = (noise(&[2, 4, 32, 32])?, Tensor::full([2], 500.0, tch::kind::FLOAT_CPU));
    Ok(seconds(1, settings.n(3), || unet.forward(&x, &t, &cond, None))?.into())
}

/// A latent of 32 × 32 to a picture of 256 × 256.
pub(super) fn vae_decode(settings: Settings) -> Result<Values> {
    let (files, kind) = begin(settings)?;
    let vae = vae(&files, kind)?;
    let latent = noise(&[1, 4, 32, 32])? * vae.config().scaling_factor;
    Ok(seconds(1, settings.n(3), || vae.decode(&latent))?.into())
}

/// A whole picture.
pub(super) fn pipeline(settings: Settings, sequential: bool) -> Result<Values> {
    let (files, kind) = begin(settings)?;
    let options = Options { kind, sequential, ..Options::default() };
    let mut sd = StableDiffusion::open(files.path(), options)?;
    let request = Request {
        prompt: "an astronaut riding a horse".into(),
        steps: 5,
        sampler: Some(SamplerSpec::by_name("ddim").context("no sampler ddim")?),
        noise: NoiseKind::Torch,
        width: Some(256),
        height: Some(256),
        ..Request::default()
    };
    let draw = || sd.generate(&request, &mut |_| ControlFlow::Continue(()));
    Ok(seconds(1, settings.n(2), draw)?.into())
}
