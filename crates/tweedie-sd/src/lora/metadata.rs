//! What peft notes beside the tensors: the alphas, if they are not the ranks.

use super::keys::flat;
use crate::files::Part;
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// diffusers' entry in a file's notes: JSON, with keys such as `unet.lora_alpha`.
const KEY: &str = "lora_adapter_metadata";

/// peft's settings, part by part.
#[derive(Debug, Default)]
pub(super) struct Metadata(Map<String, Value>);

impl Metadata {
    pub(super) fn read(path: &Path, notes: &BTreeMap<String, String>) -> Result<Self> {
        let Some(text) = notes.get(KEY) else { return Ok(Metadata::default()) };
        let broken = |e| Error::model(path, format!("its note {KEY} is no JSON object: {e}"));
        Ok(Metadata(serde_json::from_str(text).map_err(broken)?))
    }

    /// The alpha of a layer of this rank whose file has no tensor for it.
    pub(super) fn alpha(&self, part: Part, module: &str, rank: i64) -> f64 {
        let rank = rank as f64;
        let of = |key: &str| self.0.get(&format!("{part}.{key}"));
        let patterns = of("alpha_pattern").and_then(Value::as_object);
        let pattern = patterns.into_iter().flatten().find(|(name, _)| {
            let name = flat(part, name);
            module.strip_suffix(&name).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
        });
        let said = pattern.map(|(_, alpha)| alpha).or_else(|| of("lora_alpha"));
        let alpha = said.and_then(Value::as_f64).filter(|a| a.is_finite()).unwrap_or(rank);
        // Rank-stabilised LoRA (arXiv:2312.03732) divides by the root of the rank.
        match of("use_rslora").and_then(Value::as_bool) {
            Some(true) => alpha * rank.sqrt(),
            _ => alpha,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alphas_that_only_the_notes_have() {
        let json = r#"{"unet.lora_alpha": 8, "unet.alpha_pattern": {"attn1.to_q": 2},
            "text_encoder.lora_alpha": 4, "text_encoder.use_rslora": true}"#;
        let notes = BTreeMap::from([(KEY.to_owned(), json.to_owned())]);
        let notes = Metadata::read(Path::new("x"), &notes).unwrap();
        assert_eq!(notes.alpha(Part::Unet, "mid_block_attn2_to_k", 16), 8.0);
        assert_eq!(notes.alpha(Part::Unet, "mid_block_attn1_to_q", 16), 2.0);
        assert_eq!(notes.alpha(Part::TextEncoder, "encoder_layers_0_mlp_fc1", 16), 16.0);
        assert_eq!(notes.alpha(Part::TextEncoder2, "encoder_layers_0_mlp_fc1", 16), 16.0);
    }
}
