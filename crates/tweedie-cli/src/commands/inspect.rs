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

/// What kind of model it is: what the file says of itself, or what its names tell.
fn family(tensors: &[TensorInfo], metadata: &BTreeMap<String, String>) -> Option<String> {
    if let Some(family) = metadata.get("family") {
        return Some(family.clone());
    }
    let has = |name: &str| tensors.iter().any(|t| t.name == name);
    let guess = match () {
        () if has("cond_embed.embeddings.weight") && has("net.0.weight") => "conditional-mlp",
        () if has("net.0.weight") => "time-input-mlp",
        () => return None,
    };
    Some(guess.to_owned())
}
