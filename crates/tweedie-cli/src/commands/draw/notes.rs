//! What a picture's file says of how it was made.

use anyhow::Result;
use tweedie::sd::StableDiffusion;
use tweedie::sd::pipeline::{self, NoiseKind, Request};
use tweedie::sd::unet::Shortcuts;

/// `parameters`, in the words that other programs read, and `Software`; `hash` tells the model, `k` is
/// the picture's place in the batch.
pub(super) fn of(
    request: &Request,
    sd: &StableDiffusion,
    hash: &str,
    k: usize,
    (width, height): (u32, u32),
) -> Result<Vec<(String, String)>> {
    let sampler = serde_json::to_value(request.sampler.unwrap_or(sd.scheduler().sampler))?;
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
    let model = sd.files().path().file_name().map(|n| n.to_string_lossy().into_owned());
    lines.push_str(&format!(
        "\nSteps: {}, Sampler: {sampler}, CFG scale: {}, Seed: {seed}, Size: {width}x{height}, \
         Model hash: {hash}, Model: {}, Noise: {noise}",
        request.steps,
        request.guidance.scale,
        model.unwrap_or_default(),
    ));
    if request.noise == NoiseKind::Torch && request.count > 1 {
        lines.push_str(&format!(", Batch size: {}, Batch pos: {k}", request.count));
    }
    if let Some(init) = &request.init {
        lines.push_str(&format!(", Denoising strength: {}", init.strength));
    }
    if let Some(variation) = &request.variation {
        let pipeline::Variation { seed, weight } = variation;
        lines.push_str(&format!(", Variation seed: {seed}, Variation seed strength: {weight}"));
    }
    lines.push_str(&shortcuts(request));
    Ok(vec![
        ("parameters".to_owned(), lines),
        ("Software".to_owned(), concat!("tweedie ", env!("CARGO_PKG_VERSION")).to_owned()),
    ])
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
