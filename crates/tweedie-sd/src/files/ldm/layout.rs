//! The sizes that names depend on, read off the names themselves.

use super::{Operation, text};
use crate::files::Part;

/// What the names in a single file depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Residual blocks at each resolution of the UNet.
    pub layers_per_block: usize,
    /// Resolutions of the VAE.
    pub vae_levels: usize,
    text_encoders: Vec<(&'static str, Part, Encoder)>,
}

/// A text encoder under CLIP's names or OpenCLIP's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoder {
    Clip,
    OpenClip { layers: usize, projected: bool },
}

impl Encoder {
    pub(super) fn rename(self, name: &str) -> Option<Vec<(String, Operation)>> {
        match self {
            Encoder::Clip => text::clip(name),
            Encoder::OpenClip { layers, projected } => text::open_clip(name, layers, projected),
        }
    }
}

impl Layout {
    /// Reads it off a file's names.
    pub fn read<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Self {
        let numbers = |prefix: &str, suffix: &str| -> Vec<usize> {
            let number = |name: &str| {
                let (number, rest) = name.strip_prefix(prefix)?.split_once('.')?;
                rest.starts_with(suffix).then(|| number.parse().ok()).flatten()
            };
            names.clone().filter_map(number).collect()
        };
        let count =
            |prefix: &str| numbers(prefix, "").into_iter().max().map_or(0, |n| n.saturating_add(1));
        // The first change of resolution follows the first level's blocks, which follow conv_in.
        let input = "model.diffusion_model.input_blocks.";
        let change = numbers(input, "0.op.").into_iter().min();
        let layers_per_block = change.unwrap_or_else(|| count(input)).saturating_sub(1);
        let levels = ["first_stage_model.decoder.up.", "decoder.up."].map(count);
        let is_refiner = names.clone().any(|n| n.starts_with("model.diffusion_model.label_emb."));
        Layout {
            layers_per_block,
            vae_levels: levels.into_iter().max().unwrap_or(0),
            text_encoders: text_encoders(is_refiner, count),
        }
    }

    pub(super) fn text_encoders(&self) -> impl Iterator<Item = (&'static str, Part, Encoder)> {
        self.text_encoders.iter().copied()
    }
}

/// SD 2's OpenCLIP is used without its last layer, SDXL's whole and with its projection.
/// `embedders.0.model` is the refiner's, or SD 2's in a file that was made by newer code.
fn text_encoders(
    has_label: bool,
    count: impl Fn(&str) -> usize,
) -> Vec<(&'static str, Part, Encoder)> {
    let sd2 = |prefix: &'static str| {
        let layers = count(&format!("{prefix}transformer.resblocks.")).saturating_sub(1);
        (prefix, Part::TextEncoder, Encoder::OpenClip { layers, projected: false })
    };
    let sdxl = |prefix| {
        let encoder = Encoder::OpenClip { layers: usize::MAX, projected: true };
        (prefix, Part::TextEncoder2, encoder)
    };
    let first = "conditioner.embedders.0.model.";
    vec![
        ("cond_stage_model.transformer.", Part::TextEncoder, Encoder::Clip),
        ("conditioner.embedders.0.transformer.", Part::TextEncoder, Encoder::Clip),
        sd2("cond_stage_model.model."),
        if has_label { sdxl(first) } else { sd2(first) },
        sdxl("conditioner.embedders.1.model."),
    ]
}
