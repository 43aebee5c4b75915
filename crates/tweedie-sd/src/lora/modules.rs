//! The layers of a model, to be found under the names that LoRA files have for them.

use super::keys::flat;
use crate::files::Part;
use crate::files::ldm::{Separator, unet_module};
use std::collections::HashMap;
use tweedie_torch::weights::Store;

/// The weights of a model that a LoRA can change: those of its linear layers and convolutions.
#[derive(Clone, Debug, Default)]
pub struct Modules {
    by_flat_name: HashMap<(Part, String), Weight>,
    layers_per_block: usize,
}

/// A weight of a model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Weight {
    pub(super) part: Part,
    pub(super) name: String,
    pub(super) shape: Vec<i64>,
}

impl Modules {
    /// Adds a tensor under diffusers' name of it; those that no LoRA changes are passed over.
    pub fn insert(&mut self, part: Part, name: &str, shape: &[i64]) {
        let Some(module) = name.strip_suffix(".weight") else { return };
        let first_level = module.strip_prefix("down_blocks.0.resnets.");
        let layer = first_level.and_then(|m| m.split('.').next()?.parse::<usize>().ok());
        if let (Part::Unet, Some(layer)) = (part, layer) {
            self.layers_per_block = self.layers_per_block.max(layer.saturating_add(1));
        }
        if shape.len() >= 2 {
            let weight = Weight { part, name: name.to_owned(), shape: shape.to_vec() };
            self.by_flat_name.insert((part, flat(part, module)), weight);
        }
    }

    /// Adds a part's tensors.
    pub fn add(&mut self, part: Part, store: &Store) {
        for name in store.names() {
            if let Some((shape, _)) = store.info(name) {
                self.insert(part, name, &shape);
            }
        }
    }

    /// The weight of a module, by its name with underscores.
    pub(super) fn find(&self, part: Part, module: &str) -> Option<&Weight> {
        let find = |module: &str| self.by_flat_name.get(&(part, module.to_owned()));
        let original = || {
            let name = (part == Part::Unet)
                .then(|| unet_module(module, self.layers_per_block, Separator::Underscore));
            find(&name??)
        };
        // diffusers wrote `to_out` for the first of the two modules in `to_out`.
        find(module).or_else(|| find(&format!("{module}_0"))).or_else(original)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_by_either_name() {
        let mut modules = Modules::default();
        for name in [
            "down_blocks.0.resnets.1.conv1.weight",
            "conv_in.weight",
            "conv_in.bias",
            "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0.weight",
        ] {
            modules.insert(Part::Unet, name, &[4, 4]);
        }
        modules.insert(Part::Unet, "conv_norm_out.weight", &[4]);
        let found = |name: &str| modules.find(Part::Unet, name).map(|w| w.name.as_str());
        assert_eq!(found("conv_in"), Some("conv_in.weight"));
        assert_eq!(found("input_blocks_0_0"), Some("conv_in.weight"));
        let out = Some("down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0.weight");
        assert_eq!(found("down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_out"), out);
        assert_eq!(found("input_blocks_4_1_transformer_blocks_0_attn1_to_out_0"), out);
        assert_eq!(found("conv_norm_out"), None);
        assert_eq!(modules.find(Part::TextEncoder, "conv_in"), None);
    }
}
