//! The UNet: numbered input, middle and output blocks become levels with their layers.

/// Modules outside the blocks.
const OUTSIDE: &[(&str, &str)] = &[
    ("input_blocks.0.0", "conv_in"),
    ("time_embed.0", "time_embedding.linear_1"),
    ("time_embed.2", "time_embedding.linear_2"),
    ("label_emb.0.0", "add_embedding.linear_1"),
    ("label_emb.0.2", "add_embedding.linear_2"),
    ("out.0", "conv_norm_out"),
    ("out.2", "conv_out"),
];

/// Modules of a residual block.
const RESNET: &[(&str, &str)] = &[
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("emb_layers.1", "time_emb_proj"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("skip_connection", "conv_shortcut"),
];

/// What separates the parts of a name: a dot in weights, an underscore in kohya's LoRA keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Separator {
    Dot,
    Underscore,
}

/// diffusers' name of a tensor or module of a UNet with `layers` residual blocks a level,
/// with the separator that it came with.
pub(crate) fn rename(name: &str, layers: usize, separator: Separator) -> Option<String> {
    let names = Names { layers, separator };
    replace(OUTSIDE, name, separator)
        .or_else(|| names.input(name))
        .or_else(|| names.middle(name))
        .or_else(|| names.output(name))
}

struct Names {
    layers: usize,
    separator: Separator,
}

impl Names {
    fn input(&self, name: &str) -> Option<String> {
        let (i, rest) = self.number(self.after("input_blocks", name)?)?;
        let (j, rest) = self.number(rest)?;
        let (level, layer) = self.place(i.checked_sub(1)?);
        let block = format!("down_blocks.{level}");
        match replace(&[("op", "downsamplers.0.conv")], rest, self.separator) {
            Some(rest) => Some(self.join(&block, &rest)),
            None => self.layer(&block, j, layer, rest),
        }
    }

    fn middle(&self, name: &str) -> Option<String> {
        let (j, rest) = self.number(self.after("middle_block", name)?)?;
        match j {
            0..=2 => self.layer("mid_block", j % 2, j / 2, rest),
            _ => None,
        }
    }

    fn output(&self, name: &str) -> Option<String> {
        let (i, rest) = self.number(self.after("output_blocks", name)?)?;
        let (j, rest) = self.number(rest)?;
        let (level, layer) = self.place(i);
        let block = format!("up_blocks.{level}");
        // It follows the attention, or the residual block where the level has no attention.
        match replace(&[("conv", "upsamplers.0.conv")], rest, self.separator) {
            Some(rest) if j == 1 || j == 2 => Some(self.join(&block, &rest)),
            _ => self.layer(&block, j, layer, rest),
        }
    }

    /// A level has its layers, and one more on the way up or a change of resolution.
    fn place(&self, i: usize) -> (usize, usize) {
        (i / (self.layers + 1), i % (self.layers + 1))
    }

    /// Of each pair the first is a residual block, the second its attention.
    fn layer(&self, block: &str, j: usize, layer: usize, rest: &str) -> Option<String> {
        match j {
            0 => {
                let rest = replace(RESNET, rest, self.separator)?;
                Some(self.join(&format!("{block}.resnets.{layer}"), &rest))
            }
            1 => Some(self.join(&format!("{block}.attentions.{layer}"), rest)),
            _ => None,
        }
    }

    fn join(&self, module: &str, rest: &str) -> String {
        let separator = self.separator;
        format!("{}{}{rest}", separator.put(module), separator.text())
    }

    fn after<'n>(&self, module: &str, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(module)?.strip_prefix(self.separator.text())
    }

    fn number<'n>(&self, name: &'n str) -> Option<(usize, &'n str)> {
        let (number, rest) = name.split_once(self.separator.text())?;
        Some((number.parse().ok()?, rest))
    }
}

impl Separator {
    fn text(self) -> &'static str {
        match self {
            Separator::Dot => ".",
            Separator::Underscore => "_",
        }
    }

    fn put(self, dotted: &str) -> String {
        dotted.replace('.', self.text())
    }
}

/// The name with the module that it begins with replaced by the table.
fn replace(table: &[(&str, &str)], name: &str, separator: Separator) -> Option<String> {
    table.iter().find_map(|(old, new)| {
        let rest = name.strip_prefix(&separator.put(old))?;
        let whole = rest.is_empty() || rest.starts_with(separator.text());
        whole.then(|| format!("{}{rest}", separator.put(new)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dotted(name: &str) -> Option<String> {
        rename(name, 2, Separator::Dot)
    }

    #[test]
    fn stable_diffusion_1s_names() {
        for (ldm, diffusers) in [
            ("input_blocks.0.0.weight", "conv_in.weight"),
            ("input_blocks.1.0.in_layers.2.bias", "down_blocks.0.resnets.0.conv1.bias"),
            ("input_blocks.3.0.op.weight", "down_blocks.0.downsamplers.0.conv.weight"),
            ("input_blocks.5.1.proj_in.weight", "down_blocks.1.attentions.1.proj_in.weight"),
            ("input_blocks.11.0.emb_layers.1.bias", "down_blocks.3.resnets.1.time_emb_proj.bias"),
            ("middle_block.2.out_layers.3.weight", "mid_block.resnets.1.conv2.weight"),
            ("output_blocks.2.1.conv.bias", "up_blocks.0.upsamplers.0.conv.bias"),
            ("output_blocks.5.2.conv.bias", "up_blocks.1.upsamplers.0.conv.bias"),
            ("output_blocks.11.1.norm.weight", "up_blocks.3.attentions.2.norm.weight"),
            ("out.2.weight", "conv_out.weight"),
        ] {
            assert_eq!(dotted(ldm).as_deref(), Some(diffusers));
        }
    }

    #[test]
    fn names_that_are_none() {
        for name in [
            "",
            "input_blocks",
            "input_blocks.x.0.op",
            "middle_block.3.norm.weight",
            "input_blocks.1.0.new_layer.weight",
            "output_blocks.1.3.conv.bias",
            "input_blocks.0.1.norm.bias",
            "output.0.weight",
            "out.20.weight",
        ] {
            assert_eq!(dotted(name), None, "{name}");
        }
    }

    #[test]
    fn kohya_writes_the_same_with_underscores() {
        let flat = |name| rename(name, 2, Separator::Underscore);
        assert_eq!(
            flat("input_blocks_4_1_transformer_blocks_0_attn1_to_q").as_deref(),
            Some("down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q")
        );
        assert_eq!(
            flat("input_blocks_3_0_op").as_deref(),
            Some("down_blocks_0_downsamplers_0_conv")
        );
        assert_eq!(flat("out_2").as_deref(), Some("conv_out"));
    }
}
