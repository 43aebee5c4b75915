//! The names of tensors in LoRA files, in the styles that people have.
//!
//! - kohya's: `lora_unet_down_blocks_0_…_attn1_to_q.lora_down.weight`, `lora_te1_…`, with
//!   SDXL's UNet under the names of the original code, `lora_unet_input_blocks_4_1_…`;
//! - peft's: `unet.down_blocks.0.….attn1.to_q.lora_A.weight`;
//! - diffusers' before peft: `unet.….attn1.processor.to_q_lora.down.weight`,
//!   `text_encoder.….q_proj.lora_linear_layer.down.weight`.

use crate::files::Part;

/// What a tensor is to its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `[rank, in, …]`.
    Down,
    /// `[out, rank, …]`.
    Up,
    /// One number.
    Alpha,
}

/// What a name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A tensor of a LoRA of this module, whose name's parts are joined by underscores.
    Lora { part: Part, module: String, role: Role },
    /// Another kind of adapter.
    Other(&'static str),
    /// Nothing that is known.
    Unknown,
}

const ROLES: &[(&str, Role)] = &[
    (".lora_down.weight", Role::Down),
    (".lora_up.weight", Role::Up),
    (".lora_A.weight", Role::Down),
    (".lora_B.weight", Role::Up),
    (".lora_A.default.weight", Role::Down),
    (".lora_B.default.weight", Role::Up),
    (".lora.down.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    (".lora_linear_layer.down.weight", Role::Down),
    (".lora_linear_layer.up.weight", Role::Up),
    ("_lora.down.weight", Role::Down),
    ("_lora.up.weight", Role::Up),
    (".alpha", Role::Alpha),
];

/// Adapters that change weights in other ways than by a product of two matrices.
const OTHERS: &[(&str, &str)] = &[
    ("hada_", "LoHa"),
    ("lokr_", "LoKr"),
    ("dora_scale", "DoRA"),
    ("lora_magnitude_vector", "DoRA"),
    ("lora_mid", "LoCon in three factors"),
    ("oft_", "OFT"),
    (".diff.", "a full difference of weights"),
];

const PARTS: &[(&str, Part)] = &[
    ("lora_unet_", Part::Unet),
    ("lora_te_", Part::TextEncoder),
    ("lora_te1_", Part::TextEncoder),
    ("lora_te2_", Part::TextEncoder2),
    ("unet.", Part::Unet),
    ("text_encoder.", Part::TextEncoder),
    ("text_encoder_2.", Part::TextEncoder2),
];

/// Reads a tensor's name.
pub(super) fn parse(name: &str) -> Key {
    let ended = format!("{name}.");
    if let Some((_, kind)) = OTHERS.iter().find(|(mark, _)| ended.contains(mark)) {
        return Key::Other(kind);
    }
    let role = |(ending, role): &(&str, Role)| Some((name.strip_suffix(ending)?, *role));
    let Some((module, role)) = ROLES.iter().find_map(role) else { return Key::Unknown };
    match part(module) {
        Some((part, module)) => Key::Lora { part, module: flat(part, module), role },
        None => Key::Unknown,
    }
}

fn part(module: &str) -> Option<(Part, &str)> {
    let of = |(prefix, part): &(&str, Part)| Some((*part, module.strip_prefix(prefix)?));
    if let Some(found) = PARTS.iter().find_map(of) {
        return Some(found);
    }
    // peft by itself, and the oldest files, which have nothing but the UNet's attention.
    let module = module.strip_prefix("base_model.model.").unwrap_or(module);
    let (first, _) = module.split_once('.')?;
    match first {
        "text_model" => Some((Part::TextEncoder, module)),
        "down_blocks" | "mid_block" | "up_blocks" => Some((Part::Unet, module)),
        _ => None,
    }
}

/// A module's name with underscores alone, as kohya writes it; text encoders without the prefix
/// that some have and some have not.
pub(super) fn flat(part: Part, module: &str) -> String {
    let flat = module.replace(".processor", "").replace('.', "_");
    if part == Part::Unet {
        return flat;
    }
    let flat = flat.strip_prefix("text_model_").unwrap_or(&flat);
    // diffusers called the text encoder's projections as it did the UNet's.
    match flat.split_once("_self_attn_to_") {
        Some((layer, projection)) => format!("{layer}_self_attn_{projection}_proj"),
        None => flat.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lora(part: Part, module: &str, role: Role) -> Key {
        Key::Lora { part, module: module.into(), role }
    }

    #[test]
    fn one_module_in_every_style() {
        let to_q = "down_blocks_0_attentions_1_transformer_blocks_0_attn1_to_q";
        let dotted = "down_blocks.0.attentions.1.transformer_blocks.0.attn1";
        for name in [
            format!("lora_unet_{to_q}.lora_down.weight"),
            format!("unet.{dotted}.to_q.lora_A.weight"),
            format!("base_model.model.{dotted}.to_q.lora_A.default.weight"),
            format!("unet.{dotted}.processor.to_q_lora.down.weight"),
            format!("{dotted}.processor.to_q_lora.down.weight"),
            format!("unet.{dotted}.to_q.lora.down.weight"),
        ] {
            assert_eq!(parse(&name), lora(Part::Unet, to_q, Role::Down), "{name}");
        }
        let q = "encoder_layers_3_self_attn_q_proj";
        for name in [
            "lora_te_text_model_encoder_layers_3_self_attn_q_proj.lora_up.weight",
            "lora_te1_text_model_encoder_layers_3_self_attn_q_proj.lora_up.weight",
            "text_encoder.text_model.encoder.layers.3.self_attn.q_proj.lora_B.weight",
            "text_encoder.encoder.layers.3.self_attn.q_proj.lora_linear_layer.up.weight",
            "text_encoder.text_model.encoder.layers.3.self_attn.to_q_lora.up.weight",
        ] {
            assert_eq!(parse(name), lora(Part::TextEncoder, q, Role::Up), "{name}");
        }
        let name = "lora_te2_text_projection.alpha";
        assert_eq!(parse(name), lora(Part::TextEncoder2, "text_projection", Role::Alpha));
    }

    #[test]
    fn other_adapters_are_called_by_their_name() {
        assert_eq!(parse("lora_unet_x.hada_w1_a"), Key::Other("LoHa"));
        assert_eq!(parse("lora_unet_x.diff"), Key::Other("a full difference of weights"));
        assert_eq!(parse("model.diffusion_model.x.alpha"), Key::Unknown);
        assert_eq!(parse("lora_unet_x.dora_scale"), Key::Other("DoRA"));
        assert_eq!(parse("conv_in.weight"), Key::Unknown);
        assert_eq!(parse("transformer.blocks.0.lora_A.weight"), Key::Unknown);
    }
}
