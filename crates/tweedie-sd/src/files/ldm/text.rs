//! The text encoders: CLIP under its own names, OpenCLIP under others and with the three
//! projections of its attention in one tensor.

use super::Operation;

/// The names that one tensor's parts get; none where the tensor is not needed.
type Targets = Vec<(String, Operation)>;

const LAYER: &[(&str, &str)] = &[
    ("ln_1.", "layer_norm1."),
    ("ln_2.", "layer_norm2."),
    ("attn.out_proj.", "self_attn.out_proj."),
    ("mlp.c_fc.", "mlp.fc1."),
    ("mlp.c_proj.", "mlp.fc2."),
];

/// transformers' names of a tensor of CLIP. Some files have lost the prefix `text_model.`, some
/// have CLIP's other half too.
pub(super) fn clip(name: &str) -> Option<Targets> {
    let inner = name.strip_prefix("text_model.").unwrap_or(name);
    let (module, _) = inner.split_once('.').unwrap_or((inner, ""));
    match module {
        _ if inner.ends_with("position_ids") => Some(vec![]),
        "embeddings" | "encoder" | "final_layer_norm" => {
            Some(vec![(format!("text_model.{inner}"), Operation::Keep)])
        }
        "vision_model" | "visual_projection" | "text_projection" | "logit_scale" => Some(vec![]),
        _ => None,
    }
}

/// transformers' names of a tensor of OpenCLIP, of which the first `layers` layers are used, and
/// the projection of the pooled state if `projected`.
pub(super) fn open_clip(name: &str, layers: usize, projected: bool) -> Option<Targets> {
    let keep = |new: &str| Some(vec![(format!("text_model.{new}"), Operation::Keep)]);
    match name {
        "logit_scale" | "attn_mask" => Some(vec![]),
        "text_projection" | "text_projection.weight" if !projected => Some(vec![]),
        "text_projection" => Some(vec![("text_projection.weight".into(), Operation::Transpose)]),
        "text_projection.weight" => Some(vec![(name.into(), Operation::Keep)]),
        "positional_embedding" => keep("embeddings.position_embedding.weight"),
        "token_embedding.weight" => keep("embeddings.token_embedding.weight"),
        "ln_final.weight" => keep("final_layer_norm.weight"),
        "ln_final.bias" => keep("final_layer_norm.bias"),
        _ => {
            let (i, rest) = name.strip_prefix("transformer.resblocks.")?.split_once('.')?;
            let i: usize = i.parse().ok()?;
            let new = layer(rest)?;
            if i >= layers {
                return Some(vec![]);
            }
            let named = |(name, op)| (format!("text_model.encoder.layers.{i}.{name}"), op);
            Some(new.into_iter().map(named).collect())
        }
    }
}

fn layer(name: &str) -> Option<Targets> {
    if let Some(value) = name.strip_prefix("attn.in_proj_") {
        let third = |(i, p)| (format!("self_attn.{p}_proj.{value}"), Operation::Third(i));
        return Some((0..3).zip(["q", "k", "v"]).map(third).collect());
    }
    let (old, new) = LAYER.iter().find(|(old, _)| name.starts_with(old))?;
    Some(vec![(name.replacen(old, new, 1), Operation::Keep)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(targets: Option<Targets>) -> Vec<String> {
        targets.unwrap().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn clip_with_and_without_its_prefix() {
        let name = "text_model.encoder.layers.3.mlp.fc1.bias";
        assert_eq!(names(clip(name)), [name]);
        assert_eq!(names(clip("encoder.layers.3.mlp.fc1.bias")), [name]);
        assert!(names(clip("text_model.embeddings.position_ids")).is_empty());
        assert_eq!(clip("transformer.resblocks.0.ln_1.bias"), None);
    }

    #[test]
    fn open_clip_in_three_and_without_its_last_layer() {
        let prefix = "text_model.encoder.layers.5.self_attn";
        let three = open_clip("transformer.resblocks.5.attn.in_proj_weight", 6, false).unwrap();
        assert_eq!(three[2], (format!("{prefix}.v_proj.weight"), Operation::Third(2)));
        assert_eq!(three.len(), 3);
        assert!(open_clip("transformer.resblocks.6.ln_1.bias", 6, false).unwrap().is_empty());
        assert_eq!(open_clip("transformer.resblocks.6.new.bias", 6, false), None);
        assert!(open_clip("text_projection", 6, false).unwrap().is_empty());
        let [(_, operation)] = open_clip("text_projection", 6, true).unwrap().try_into().unwrap();
        assert_eq!(operation, Operation::Transpose);
    }
}
