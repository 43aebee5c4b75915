//! `tweedie inspect`.

use crate::output;
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tweedie::sd::files::inspect::{PartSummary, Summary, inspect};
use tweedie::torch::weights::{Header, TensorInfo, header};

/// What may be typed.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A safetensors file, or a folder that diffusers saved; no weights are read
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// One object: tensors, parameters, dtypes, metadata, the family of a model, its parts and what
    /// it lacks
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(crate) fn run(args: Args) -> Result<()> {
    let summary = inspect(&args.model)?;
    let header = match args.model.is_dir() {
        true => Header { tensors: vec![], metadata: BTreeMap::new() },
        false => header(&args.model)?,
    };
    match args.json {
        true => output::json(&object(&args, &header, summary)),
        false => listing(&header, summary),
    }
}

/// Everything, for programs. The tensors of a folder are those of its parts.
fn object(args: &Args, header: &Header, summary: Option<Summary>) -> Value {
    let tensor = |t: &TensorInfo| json!({ "name": t.name, "dtype": t.kind, "shape": t.shape, "bytes": t.bytes });
    let of_part = |part: &PartSummary| {
        let mut object = json!({
            "name": part.name,
            "parameters": parameters(&part.tensors),
            "dtypes": dtypes(&part.tensors),
        });
        object["class"] = json!(part.class);
        object
    };
    let inside = |part: &PartSummary| -> Vec<Value> {
        let with_part = |t| {
            let mut object = tensor(t);
            object["part"] = json!(part.name);
            object
        };
        part.tensors.iter().map(with_part).collect()
    };
    let all = all_tensors(header, summary.as_ref());
    let mut object = json!({
        "file": args.model,
        "family": family(header),
        "parameters": parameters(all.clone()),
        "dtypes": dtypes(all),
        "tensors": header.tensors.iter().map(tensor).collect::<Vec<_>>(),
        "metadata": header.metadata,
    });
    if let Some(summary) = summary {
        if header.tensors.is_empty() {
            object["tensors"] = json!(summary.parts.iter().flat_map(inside).collect::<Vec<_>>());
        }
        object["family"] = json!(summary.family);
        object["parts"] = json!(summary.parts.iter().map(of_part).collect::<Vec<_>>());
        object["missing"] = json!(summary.missing);
        object["problems"] = json!(summary.problems);
    }
    object
}

/// The same for people: tensor by tensor, or part by part where there are parts.
fn listing(header: &Header, summary: Option<Summary>) -> Result<()> {
    let parts = summary.as_ref().map(|summary| &summary.parts[..]).unwrap_or_default();
    let shown = if parts.is_empty() { &header.tensors[..] } else { &[] };
    let longest = shown.iter().map(|t| t.name.chars().count()).max().unwrap_or(0);
    for t in shown {
        let (name, kind) = (&t.name, &t.kind);
        output::print(format_args!("{name:longest$}  {kind:5} {:?}", t.shape))?;
    }
    let longest = parts.iter().map(|part| part.name.len()).max().unwrap_or(0);
    for part in parts {
        let class = part.class.iter().map(ToString::to_string);
        let weights = (!part.tensors.is_empty()).then(|| count(&part.tensors));
        let said: Vec<_> = class.chain(weights).collect();
        output::print(
            format_args!("{:longest$}  {}", part.name, said.join(", ")).to_string().trim_end(),
        )?;
    }
    for (key, value) in &header.metadata {
        output::print(format_args!("{key} = {value}"))?;
    }
    for missing in summary.iter().flat_map(|summary| &summary.missing) {
        output::print(format_args!("missing: {missing}"))?;
    }
    for problem in summary.iter().flat_map(|summary| &summary.problems) {
        output::print(format_args!("problem: {problem}"))?;
    }
    let family = summary.as_ref().map(|s| s.family.clone()).or_else(|| family(header));
    let what = family.map(|family| format!(", {family}")).unwrap_or_default();
    output::print(format_args!("{}{what}", count(all_tensors(header, summary.as_ref()))))
}

/// All tensors: a file's, or those of a folder's parts.
fn all_tensors<'t>(
    header: &'t Header,
    summary: Option<&'t Summary>,
) -> impl Iterator<Item = &'t TensorInfo> + Clone {
    let parts = match header.tensors.is_empty() {
        true => summary.map(|summary| &summary.parts[..]).unwrap_or_default(),
        false => &[],
    };
    header.tensors.iter().chain(parts.iter().flat_map(|part| &part.tensors))
}

/// `1234 parameters in 5 × F32`.
fn count<'t>(tensors: impl IntoIterator<Item = &'t TensorInfo> + Clone) -> String {
    let kinds = dtypes(tensors.clone());
    let kinds: Vec<_> = kinds.iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
    format!("{} parameters in {}", parameters(tensors), kinds.join(", "))
}

fn parameters<'t>(tensors: impl IntoIterator<Item = &'t TensorInfo>) -> i64 {
    tensors.into_iter().map(|t| t.shape.iter().product::<i64>()).sum()
}

/// How many tensors there are of each kind.
fn dtypes<'t>(tensors: impl IntoIterator<Item = &'t TensorInfo>) -> BTreeMap<&'t str, usize> {
    let mut dtypes = BTreeMap::new();
    for tensor in tensors {
        *dtypes.entry(tensor.kind.as_str()).or_default() += 1;
    }
    dtypes
}

/// What kind of model a file of ours is: the `type` of the settings that it remembers, or what its
/// names tell.
fn family(Header { tensors, metadata }: &Header) -> Option<String> {
    let settings = metadata.get("model").and_then(|text| serde_json::from_str(text).ok());
    if let Some(Value::String(name)) =
        settings.as_ref().and_then(|settings: &Value| settings.get("type"))
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
