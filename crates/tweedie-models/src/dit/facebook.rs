//! The names of `facebookresearch/DiT`.
//!
//! | there | here |
//! |---|---|
//! | `x_embedder.proj.*` | `x_embed.proj.*` |
//! | `t_embedder.mlp.{0,2}.*` | `sig_embed.mlp.{0,2}.*` (`timestep` embedding, scale 1) |
//! | `y_embedder.embedding_table.weight` | `cond_embed.embeddings.weight` (`table` embedding) |
//! | `blocks.N.attn.{qkv,proj}.*` | the same |
//! | `blocks.N.mlp.{fc1,fc2}.*` | `blocks.N.mlp.{0,2}.*` |
//! | `blocks.N.adaLN_modulation.1.*`: shift, scale, gate of attention, then of the perceptron | `blocks.N.norm1.modulation.proj.1.*` (scale, shift), `norm2.…` (scale, shift), `scale_modulation.proj.1.*` (both gates) |
//! | `final_layer.adaLN_modulation.1.*`: shift, scale | `final_norm.modulation.proj.1.*`: scale, shift |
//! | `final_layer.linear.*` | `final_linear.*` |
//! | `pos_embed` | computed |

use tch::Tensor;
use tweedie_torch::weights::StateDict;

/// A state dict of `facebookresearch/DiT` under our names; what is not known there keeps its own,
/// so that loading it says so.
pub fn from_facebook(dict: &StateDict) -> StateDict {
    dict.iter().flat_map(|(name, tensor)| rename(name, tensor)).collect()
}

fn rename(name: &str, tensor: &Tensor) -> Vec<(String, Tensor)> {
    if name == "pos_embed" {
        return vec![];
    }
    if let Some((block, of)) = name.split_once(".adaLN_modulation.1.")
        && let Some(parts) = split(tensor, if block == "final_layer" { 2 } else { 6 })
    {
        let make = |place: String, parts: [&Tensor; 2]| {
            (format!("{place}.proj.1.{of}"), Tensor::cat(&parts, 0))
        };
        return match &parts[..] {
            [shift, scale] => vec![make("final_norm.modulation".into(), [scale, shift])],
            [shift1, scale1, gate1, shift2, scale2, gate2] => vec![
                make(format!("{block}.norm1.modulation"), [scale1, shift1]),
                make(format!("{block}.norm2.modulation"), [scale2, shift2]),
                make(format!("{block}.scale_modulation"), [gate1, gate2]),
            ],
            _ => vec![],
        };
    }
    const PARTS: [(&str, &str); 6] = [
        ("x_embedder.", "x_embed."),
        ("t_embedder.", "sig_embed."),
        ("y_embedder.embedding_table.", "cond_embed.embeddings."),
        (".mlp.fc1.", ".mlp.0."),
        (".mlp.fc2.", ".mlp.2."),
        ("final_layer.linear.", "final_linear."),
    ];
    let ours = PARTS.iter().fold(name.to_owned(), |name, (there, here)| name.replace(there, here));
    vec![(ours, tensor.shallow_clone())]
}

/// Equal parts along the first dimension, if it can be parted so.
fn split(tensor: &Tensor, parts: i64) -> Option<Vec<Tensor>> {
    let first = *tensor.size().first()?;
    (first > 0 && first % parts == 0).then(|| tensor.chunk(parts, 0))
}
