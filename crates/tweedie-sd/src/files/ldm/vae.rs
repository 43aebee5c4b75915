//! The VAE: the decoder's levels are numbered from the picture, and its attention is made of
//! 1×1 convolutions.

use super::Operation;

const ATTENTION: &[(&str, &str)] = &[
    ("norm", "group_norm"),
    ("q", "to_q"),
    ("k", "to_k"),
    ("v", "to_v"),
    ("proj_out", "to_out.0"),
];

/// diffusers' name of a tensor of a VAE with `levels` resolutions.
pub(super) fn rename(name: &str, levels: usize) -> Option<(String, Operation)> {
    let (module, rest) = name.split_once('.')?;
    match module {
        "quant_conv" | "post_quant_conv" => keep(name.to_owned()),
        "encoder" | "decoder" => {
            let (name, operation) = half(rest, levels)?;
            Some((format!("{module}.{name}"), operation))
        }
        _ => None,
    }
}

fn keep(name: String) -> Option<(String, Operation)> {
    Some((name, Operation::Keep))
}

/// A tensor of the encoder or the decoder.
fn half(name: &str, levels: usize) -> Option<(String, Operation)> {
    let (module, rest) = name.split_once('.')?;
    match module {
        "conv_in" | "conv_out" => keep(name.to_owned()),
        "norm_out" => keep(format!("conv_norm_out.{rest}")),
        "down" => {
            let (level, rest) = number(rest)?;
            keep(format!("down_blocks.{level}.{}", inside(rest, "downsample")?))
        }
        "up" => {
            let (level, rest) = number(rest)?;
            let level = levels.checked_sub(level)?.checked_sub(1)?;
            keep(format!("up_blocks.{level}.{}", inside(rest, "upsample")?))
        }
        "mid" => middle(rest),
        _ => None,
    }
}

fn inside(name: &str, change: &str) -> Option<String> {
    let (module, rest) = name.split_once('.')?;
    match module {
        "block" => {
            let (layer, rest) = number(rest)?;
            Some(format!("resnets.{layer}.{}", resnet(rest)))
        }
        _ if module == change => Some(format!("{change}rs.0.{rest}")),
        _ => None,
    }
}

fn middle(name: &str) -> Option<(String, Operation)> {
    let (module, rest) = name.split_once('.')?;
    match module {
        "block_1" => keep(format!("mid_block.resnets.0.{}", resnet(rest))),
        "block_2" => keep(format!("mid_block.resnets.1.{}", resnet(rest))),
        "attn_1" => {
            let (old, value) = rest.split_once('.')?;
            let (_, new) = ATTENTION.iter().find(|(ldm, _)| *ldm == old)?;
            let linear = old != "norm" && value == "weight";
            let operation = if linear { Operation::Linear } else { Operation::Keep };
            Some((format!("mid_block.attentions.0.{new}.{value}"), operation))
        }
        _ => None,
    }
}

fn resnet(name: &str) -> String {
    name.replace("nin_shortcut", "conv_shortcut")
}

fn number(name: &str) -> Option<(usize, &str)> {
    let (number, rest) = name.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_vae_with_four_levels() {
        for (ldm, diffusers) in [
            (
                "encoder.down.2.block.1.nin_shortcut.bias",
                "encoder.down_blocks.2.resnets.1.conv_shortcut.bias",
            ),
            (
                "encoder.down.0.downsample.conv.bias",
                "encoder.down_blocks.0.downsamplers.0.conv.bias",
            ),
            ("decoder.up.3.upsample.conv.bias", "decoder.up_blocks.0.upsamplers.0.conv.bias"),
            ("decoder.mid.block_2.norm1.bias", "decoder.mid_block.resnets.1.norm1.bias"),
            ("decoder.norm_out.weight", "decoder.conv_norm_out.weight"),
            ("post_quant_conv.weight", "post_quant_conv.weight"),
        ] {
            assert_eq!(rename(ldm, 4), Some((diffusers.to_owned(), Operation::Keep)));
        }
        let (name, operation) = rename("decoder.mid.attn_1.proj_out.weight", 4).unwrap();
        assert_eq!(name, "decoder.mid_block.attentions.0.to_out.0.weight");
        assert_eq!(operation, Operation::Linear);
        for none in ["decoder.up.4.block.0.conv1.bias", "encoder.mid.attn_1.o.bias", "loss.x", "x"]
        {
            assert_eq!(rename(none, 4), None, "{none}");
        }
    }
}
