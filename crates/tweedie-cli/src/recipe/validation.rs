//! `[validation]` of a recipe.

use serde::{Deserialize, Serialize};

/// What the run is judged by on its way: data, levels and noise that are always the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ValidationSpec {
    /// How many samples of the data.
    pub(crate) samples: usize,
    /// Whether they are kept from training.
    pub(crate) held_out: bool,
    /// Levels, equally likely ones of those that are trained.
    pub(crate) levels: usize,
}

impl Default for ValidationSpec {
    fn default() -> Self {
        ValidationSpec { samples: 256, held_out: false, levels: 8 }
    }
}
