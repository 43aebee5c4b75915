//! Blocks one after another, and what makes an answer of their tokens.

use super::{Block, BlockConfig, ModulatedLayerNorm, Rope};
use crate::checkpointing::Segment;
use crate::embed::{ClassEmbedder, NoiseEmbedder};
use crate::inputs::check_size;
use std::rc::Rc;
use tch::Tensor;
use tweedie_torch::parameters::{Init, Linear, Scope};

/// `blocks.N`, `final_norm` and `final_linear`.
#[derive(Debug)]
pub(crate) struct Trunk {
    blocks: Vec<Block>,
    final_norm: ModulatedLayerNorm,
    final_linear: Linear,
}

/// The shape of blocks that can be built: an error names the setting.
pub(crate) fn check_blocks(depth: i64, num_heads: i64, head_dim: i64) -> crate::Result<()> {
    for (field, value) in [("depth", depth), ("head_dim", head_dim), ("num_heads", num_heads)] {
        check_size(field, value)?;
    }
    let width = num_heads * head_dim;
    check_size("num_heads · head_dim", width)?;
    match width % 4 {
        0 => Ok(()),
        _ => Err(crate::Error::setting("num_heads · head_dim", width, "a multiple of 4")),
    }
}

/// That a perceptron's hidden layer has a width.
pub(crate) fn check_hidden(mlp_ratio: f64, hidden: i64) -> crate::Result<()> {
    match mlp_ratio.is_finite() && (1..=1 << 18).contains(&hidden) {
        true => Ok(()),
        false => Err(crate::Error::setting("mlp_ratio", mlp_ratio, "a positive number, about 4")),
    }
}

/// That heads can be turned by two numbers at a time, in two halves.
pub(crate) fn check_rope(head_dim: i64) -> crate::Result<()> {
    match head_dim % 4 {
        0 => Ok(()),
        _ => {
            let expected = "a multiple of 4, with rope positions";
            Err(crate::Error::setting("head_dim", head_dim, expected))
        }
    }
}

impl Trunk {
    /// So many blocks; `outputs` numbers for each token at the end.
    pub(crate) fn new(
        root: &mut Scope<'_>,
        block: BlockConfig,
        depth: i64,
        outputs: i64,
    ) -> tweedie_torch::Result<Self> {
        let width = block.num_heads * block.head_dim;
        let new = |i| Block::new(&mut root.sub(format_args!("blocks.{i}")), block);
        let blocks = (0..depth).map(new).collect::<tweedie_torch::Result<_>>()?;
        Ok(Trunk {
            blocks,
            final_norm: ModulatedLayerNorm::new(&mut root.sub("final_norm"), width)?,
            final_linear: Linear::new(&mut root.sub("final_linear"), width, outputs, true)?,
        })
    }

    /// A segment for each block, from SiLU of the condition, `[batch, width]`, and tokens,
    /// `[batch, tokens, width]`, to the same. Tokens of the blocks in `identity` attend to
    /// themselves alone.
    pub(crate) fn segments<'a>(
        &'a self,
        context: Option<Tensor>,
        rope: Option<Rope>,
        identity: &'a [usize],
    ) -> impl Iterator<Item = Segment<'a>> {
        let given = Rc::new((context, rope));
        self.blocks.iter().enumerate().map(move |(i, block)| -> Segment<'a> {
            let given = Rc::clone(&given);
            let identity = identity.contains(&i);
            Box::new(move |mut state| {
                if let [y, h] = &mut state[..] {
                    *h = block.forward(h, y, (given.0.as_ref(), given.1.as_ref()), identity)?;
                }
                Ok(state)
            })
        })
    }

    /// The name of each block.
    pub(crate) fn names(&self) -> Vec<String> {
        (0..self.blocks.len()).map(|i| format!("blocks.{i}")).collect()
    }

    /// Tokens and SiLU of the condition to `[batch, tokens, outputs]`.
    pub(crate) fn finish(&self, h: &Tensor, y: &Tensor) -> tweedie_torch::Result<Tensor> {
        Ok(self.final_linear.forward(&self.final_norm.forward(h, y)?))
    }

    /// How the linear layers of a network begin, in the order in which PyTorch's `apply` visits
    /// them, as DiT and smalldiffusion have it: Xavier's, without bias; the level's small; a class
    /// table small where it stands alone; the last layer 0. With adaLN-Zero all modulations are 0
    /// too. `others` are layers between the condition's and the blocks.
    pub(crate) fn starts(
        &self,
        level: &NoiseEmbedder,
        class: Option<&ClassEmbedder>,
        others: &[&Linear],
        adaln_zero: bool,
    ) -> Vec<(Tensor, Init)> {
        let level = level.linears();
        let class = class.map(ClassEmbedder::parts);
        let modulation = self.final_norm.modulation.linear();
        let mut linears = level.clone();
        linears.extend(class.and_then(|(_, mlp)| mlp));
        linears.extend(others);
        linears.extend(self.blocks.iter().flat_map(Block::linears));
        linears.extend([modulation, &self.final_linear]);
        let xavier = |l: &&Linear| {
            let size = l.weight.size();
            let bias = l.bias.as_ref().map(|b| (b.shallow_clone(), Init::Zeros));
            [Some((l.weight.shallow_clone(), Init::xavier(size[1], size[0]))), bias]
        };
        let mut starts: Vec<(Tensor, Init)> = linears.iter().flat_map(xavier).flatten().collect();
        let weight = |l: &Linear, init| (l.weight.shallow_clone(), init);
        starts.extend(level.iter().take(2).map(|l| weight(l, Init::Normal(0.02))));
        if let Some((table, None)) = class {
            starts.push((table.weight.shallow_clone(), Init::Normal(0.02)));
        }
        if adaln_zero {
            let modulations = self.blocks.iter().flat_map(Block::modulations);
            starts.extend(modulations.chain([modulation]).map(|l| weight(l, Init::Zeros)));
        }
        starts.push(weight(&self.final_linear, Init::Zeros));
        starts
    }
}
