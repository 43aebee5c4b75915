//! diffusers' settings of a model, from the shapes of its tensors; what shapes do not tell is
//! the same in all models of a family.

use super::Family;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The tensors of a part under diffusers' names.
pub(super) type Shapes<'s> = BTreeMap<&'s str, &'s [i64]>;

fn size(shapes: &Shapes<'_>, name: &str, axis: usize) -> Option<i64> {
    shapes.get(name)?.get(axis).copied()
}

/// How many numbers from 0 on `name` gives tensors that are there.
fn count(name: impl Fn(usize) -> String, shapes: &Shapes<'_>) -> usize {
    (0..).take_while(|&i| shapes.contains_key(name(i).as_str())).count()
}

fn levels(shapes: &Shapes<'_>, prefix: &str) -> Vec<i64> {
    let first = |i| format!("{prefix}down_blocks.{i}.resnets.0.conv1.weight");
    (0..count(first, shapes)).filter_map(|i| size(shapes, &first(i), 0)).collect()
}

/// `unet/config.json`.
pub(super) fn unet(shapes: &Shapes<'_>, family: Family) -> Option<Value> {
    let channels = levels(shapes, "");
    let depth = |block: &str| {
        let name = |i| format!("{block}.attentions.0.transformer_blocks.{i}.norm1.weight");
        count(name, shapes)
    };
    let down: Vec<usize> =
        (0..channels.len()).map(|i| depth(&format!("down_blocks.{i}"))).collect();
    let up = (0..channels.len()).map(|i| depth(&format!("up_blocks.{i}")));
    let middle = depth("mid_block");
    // The middle has the last level's depth, which that level need not have itself.
    let last = channels.len().checked_sub(1)?;
    let depths = down.iter().enumerate().map(|(i, &n)| if i == last { middle } else { n.max(1) });
    let heads = |&c: &i64| if family == Family::Sd1 { 8 } else { (c / 64).max(1) };
    let kind = |with: &'static str, without| move |n| if n > 0 { with } else { without };
    let attention = shapes.iter().find(|(name, _)| name.ends_with("attn2.to_k.weight"))?.1;
    let mut config = json!({
        "_class_name": "UNet2DConditionModel",
        "sample_size": match family { Family::Sd1 => 64, Family::Sd2 => 96, _ => 128 },
        "in_channels": size(shapes, "conv_in.weight", 1)?,
        "out_channels": size(shapes, "conv_out.weight", 0)?,
        "block_out_channels": channels,
        "layers_per_block": count(|i| format!("down_blocks.0.resnets.{i}.conv1.weight"), shapes),
        "down_block_types": down.iter().copied()
            .map(kind("CrossAttnDownBlock2D", "DownBlock2D")).collect::<Vec<_>>(),
        "up_block_types": up.map(kind("CrossAttnUpBlock2D", "UpBlock2D")).collect::<Vec<_>>(),
        "transformer_layers_per_block": depths.collect::<Vec<_>>(),
        "attention_head_dim": channels.iter().map(heads).collect::<Vec<_>>(),
        "cross_attention_dim": attention.get(1)?,
        "use_linear_projection":
            shapes.get("mid_block.attentions.0.proj_in.weight").is_some_and(|s| s.len() == 2),
        "norm_num_groups": 32,
        "norm_eps": 1e-5,
        "flip_sin_to_cos": true,
        "freq_shift": 0,
        "act_fn": "silu",
    });
    if let Some(width) = size(shapes, "add_embedding.linear_1.weight", 1) {
        config["addition_embed_type"] = json!("text_time");
        config["addition_time_embed_dim"] = json!(256);
        config["projection_class_embeddings_input_dim"] = json!(width);
    }
    Some(config)
}

/// `vae/config.json`.
pub(super) fn vae(shapes: &Shapes<'_>, family: Family) -> Option<Value> {
    let channels = levels(shapes, "encoder.");
    let layers = count(|i| format!("encoder.down_blocks.0.resnets.{i}.conv1.weight"), shapes);
    let xl = matches!(family, Family::Sdxl | Family::SdxlRefiner);
    Some(json!({
        "_class_name": "AutoencoderKL",
        "in_channels": size(shapes, "encoder.conv_in.weight", 1)?,
        "out_channels": size(shapes, "decoder.conv_out.weight", 0)?,
        "latent_channels": size(shapes, "decoder.conv_in.weight", 1)?,
        "down_block_types": vec!["DownEncoderBlock2D"; channels.len()],
        "up_block_types": vec!["UpDecoderBlock2D"; channels.len()],
        "block_out_channels": channels,
        "layers_per_block": layers,
        "norm_num_groups": 32,
        "act_fn": "silu",
        "sample_size": match family { Family::Sd1 => 512, Family::Sd2 => 768, _ => 1024 },
        "scaling_factor": if xl { 0.13025 } else { 0.18215 },
        "force_upcast": true,
    }))
}

/// `text_encoder/config.json`; of OpenAI's CLIP, or else of OpenCLIP.
pub(super) fn text(shapes: &Shapes<'_>, openai: bool) -> Option<Value> {
    let token = "text_model.embeddings.token_embedding.weight";
    let (vocabulary, width) = (size(shapes, token, 0)?, size(shapes, token, 1)?);
    let projection = size(shapes, "text_projection.weight", 0);
    let class = match projection {
        Some(_) => "CLIPTextModelWithProjection",
        None => "CLIPTextModel",
    };
    let layer = |i| format!("text_model.encoder.layers.{i}.mlp.fc1.weight");
    Some(json!({
        "architectures": [class],
        "model_type": "clip_text_model",
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": size(shapes, &layer(0), 0)?,
        "num_hidden_layers": count(layer, shapes),
        "num_attention_heads": (width / 64).max(1),
        "max_position_embeddings":
            size(shapes, "text_model.embeddings.position_embedding.weight", 0)?,
        "projection_dim": projection.unwrap_or(width),
        "hidden_act": if openai { "quick_gelu" } else { "gelu" },
        "layer_norm_eps": 1e-5,
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
        "pad_token_id": 1,
    }))
}

/// `scheduler/scheduler_config.json`.
pub(super) fn scheduler(family: Family, predicts_v: bool, zero_snr: bool) -> Value {
    let class = match family {
        Family::Sd1 => "PNDMScheduler",
        Family::Sd2 => "DDIMScheduler",
        _ => "EulerDiscreteScheduler",
    };
    let mut config = json!({
        "_class_name": class,
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "trained_betas": null,
        "prediction_type": if predicts_v { "v_prediction" } else { "epsilon" },
        "timestep_spacing": if zero_snr { "trailing" } else { "leading" },
        "steps_offset": 1,
        "set_alpha_to_one": false,
        "clip_sample": false,
    });
    if class == "PNDMScheduler" {
        config["skip_prk_steps"] = json!(true);
    }
    if zero_snr {
        config["rescale_betas_zero_snr"] = json!(true);
    }
    config
}

/// `model_index.json`.
pub(super) fn model_index(family: Family, inpainting: bool) -> Value {
    let xl = matches!(family, Family::Sdxl | Family::SdxlRefiner);
    let class = match (family, inpainting) {
        (Family::Sd1 | Family::Sd2, false) => "StableDiffusionPipeline",
        (Family::Sd1 | Family::Sd2, true) => "StableDiffusionInpaintPipeline",
        (_, true) => "StableDiffusionXLInpaintPipeline",
        (Family::Sdxl, false) => "StableDiffusionXLPipeline",
        (Family::SdxlRefiner, false) => "StableDiffusionXLImg2ImgPipeline",
    };
    let scheduler = scheduler(family, false, false)["_class_name"].clone();
    let mut index = json!({
        "_class_name": class,
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", scheduler],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "text_encoder": ["transformers", "CLIPTextModel"],
    });
    if xl {
        index["tokenizer_2"] = json!(["transformers", "CLIPTokenizer"]);
        index["text_encoder_2"] = json!(["transformers", "CLIPTextModelWithProjection"]);
        index["force_zeros_for_empty_prompt"] = json!(family == Family::Sdxl);
    }
    if family == Family::SdxlRefiner {
        index["tokenizer"] = json!([null, null]);
        index["text_encoder"] = json!([null, null]);
        index["requires_aesthetics_score"] = json!(true);
    }
    index
}
