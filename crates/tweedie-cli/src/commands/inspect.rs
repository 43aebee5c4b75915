//! `tweedie inspect`.

use crate::output;
use anyhow::Result;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use tweedie::torch::weights::{Header, TensorInfo, header};

/// What may be typed.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A safetensors file; its header alone is read
    file: PathBuf,
    /// One object: tensors, parameters, dtypes, metadata, and the family of a model
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(crate) fn run(args: Args) -> Result<()> {
    let Header { tensors, metadata } = header(&args.file)?;
    let parameters: i64 = tensors.iter().map(elements).sum();
    let mut dtypes = BTreeMap::<&str, usize>::new();
    for tensor in &tensors {
        *dtypes.entry(tensor.kind.as_str()).or_default() += 1;
    }
    let family = family(&tensors, &metadata);
    if args.json {
        let tensor = |t: &TensorInfo| json!({ "name": t.name, "dtype": t.kind, "shape": t.shape, "bytes": t.bytes });
        return output::json(&json!({
            "file": args.file,
            "family": family,
            "parameters": parameters,
            "dtypes": dtypes,
            "tensors": tensors.iter().map(tensor).collect::<Vec<_>>(),
            "metadata": metadata,
        }));
    }
    let longest = tensors.iter().map(|t| t.name.chars().count()).max().unwrap_or(0);
    for t in &tensors {
        let (name, kind) = (&t.name, &t.kind);
        output::print(format_args!("{name:longest$}  {kind:5} {:?}", t.shape))?;
    }
    for (key, value) in &metadata {
        output::print(format_args!("{key} = {value}"))?;
    }
    let kinds: Vec<_> = dtypes.iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
    let what = family.map(|f| format!(", {f}")).unwrap_or_default();
    output::print(format_args!("{parameters} parameters in {}{what}", kinds.join(", ")))
}

fn elements(tensor: &TensorInfo) -> i64 {
    tensor.shape.iter().product()
}

/// What kind of model it is: the `type` of the settings that a file of ours remembers, or what its
/// names tell.
fn family(tensors: &[TensorInfo], metadata: &BTreeMap<String, String>) -> Option<String> {
    let settings = metadata.get("model").and_then(|text| serde_json::from_str(text).ok());
    if let Some(serde_json::Value::String(name)) =
        settings.as_ref().and_then(|settings: &serde_json::Value| settings.get("type"))
    {
        return Some(name.clone());
    }
    let has = |name: &&str| tensors.iter().any(|t| t.name == *name);
    let family = FAMILIES.iter().find(|(_, names)| names.iter().all(has));
    family.map(|(family, _)| (*family).to_owned())
}

/// Names that tell a family, the more telling ones first.
const FAMILIES: [(&str, &[&str]); 6] = [
    ("conditional-mlp", &["net.0.weight", "cond_embed.embeddings.weight"]),
    ("time-input-mlp", &["net.0.weight"]),
    ("unet", &["conv_in.weight", "downs.0.blocks.0.0.layer1.0.weight"]),
    ("dit", &["x_embed.proj.weight", "blocks.0.norm1.modulation.proj.1.weight"]),
    ("transformer-1d", &["x_embed.weight", "blocks.0.norm1.modulation.proj.1.weight"]),
    ("facebookresearch-dit", &["x_embedder.proj.weight", "blocks.0.adaLN_modulation.1.weight"]),
];
