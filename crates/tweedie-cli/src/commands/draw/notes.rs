//! What a picture's file says of how it was made.

use super::Refiner;
use anyhow::Result;
use std::path::Path;
use tweedie::samplers::SamplerSpec;
use tweedie::sd::pipeline::{Hires, NoiseKind, Request, Variation};
use tweedie::sd::unet::Shortcuts;

/// How a batch of pictures was made.
pub(super) struct Made<'a> {
    pub(super) request: &'a Request,
    /// The model, as it was named.
    pub(super) model: &'a Path,
    /// Tells models apart.
    pub(super) hash: String,
    pub(super) refiner: Option<&'a Refiner>,
    pub(super) sampler: SamplerSpec,
}

impl Made<'_> {
    /// `parameters`, in the words that other programs read, and `Software`; `k` is the picture's place
    /// in the batch.
    pub(super) fn notes(
        &self,
        k: usize,
        (width, height): (u32, u32),
    ) -> Result<Vec<(String, String)>> {
        let Made { request, model, hash, refiner, sampler } = self;
        let sampler = serde_json::to_value(sampler)?;
        let sampler = sampler["name"].as_str().unwrap_or_default();
        let mut lines = request.prompt.clone();
        if let Some(negative) = &request.negative_prompt {
            lines.push_str(&format!("\nNegative prompt: {negative}"));
        }
        // A picture of PyTorch's stream belongs to the batch's seed, ours to one of its own.
        let (seed, noise) = match request.noise {
            NoiseKind::Seeded => (request.seed.wrapping_add(k as u64), "seeded"),
            NoiseKind::Torch => (request.seed, "torch"),
        };
        lines.push_str(&format!(
            "\nSteps: {}, Sampler: {sampler}, CFG scale: {}, Seed: {seed}, Size: {width}x{height}, \
             Model hash: {hash}, Model: {}, Noise: {noise}",
            request.steps,
            request.guidance.scale,
            name(model),
        ));
        if request.noise == NoiseKind::Torch && request.count > 1 {
            lines.push_str(&format!(", Batch size: {}, Batch pos: {k}", request.count));
        }
        if let Some(init) = &request.init {
            lines.push_str(&format!(", Denoising strength: {}", init.strength));
        }
        if let Some(Hires { scale, strength }) = request.hires {
            lines.push_str(&format!(", Denoising strength: {strength}, Hires upscale: {scale}"));
        }
        if let Some(Refiner { model, start }) = refiner {
            lines.push_str(&format!(", Refiner: {}, Refiner switch at: {start}", name(model)));
        }
        if let Some(Variation { seed, weight }) = request.variation {
            lines.push_str(&format!(", Variation seed: {seed}, Variation seed strength: {weight}"));
        }
        lines.push_str(&shortcuts(request));
        Ok(vec![
            ("parameters".to_owned(), lines),
            ("Software".to_owned(), concat!("tweedie ", env!("CARGO_PKG_VERSION")).to_owned()),
        ])
    }
}

fn name(model: &Path) -> String {
    model.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What was left out, so that the picture can be drawn again.
fn shortcuts(request: &Request) -> String {
    let Shortcuts { cache_interval, cache_depth, merge_ratio } = request.shortcuts;
    let mut said = String::new();
    if let Some((low, high)) = request.guidance.interval {
        said += &format!(", Guidance interval: {low}-{high}");
    }
    if cache_interval > 1 {
        said += &format!(", DeepCache interval: {cache_interval}, DeepCache depth: {cache_depth}");
    }
    if merge_ratio > 0.0 {
        said += &format!(", Token merging ratio: {merge_ratio}");
    }
    said
}
