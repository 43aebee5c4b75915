//! What a model is on disk: a folder as diffusers saves it, or one file.

mod folder;
pub mod ldm;
mod part;
mod parts;

pub(crate) use parts::weights;

pub use folder::{Folder, Pipeline};
pub use part::Part;

use crate::{Error, Result};
use std::path::Path;

/// Refuses what could run code when it is read, with a way out of it.
pub(crate) fn refuse_pickle(path: &Path) -> Result<()> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "ckpt" | "bin" | "pt" | "pth" | "pkl" => Err(Error::model(
            path,
            "it is a pickle, which can run code when it is read and is never opened here; where you trust \
             it, convert it once in Python: `from safetensors.torch import save_file; import torch; \
             d = torch.load(FILE, weights_only=True); d = d.get(\"state_dict\", d); \
             save_file({k: v.contiguous() for k, v in d.items() if hasattr(v, \"contiguous\")}, \
             \"model.safetensors\")`",
        )),
        _ => Ok(()),
    }
}
