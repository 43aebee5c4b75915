//! The settings of a DiT, and the sizes of the paper.

use crate::Result;
use crate::embed::{ClassEmbedding, NoiseEmbedding};
use crate::error::Error;
use crate::inputs::{check_probability, check_size};
use crate::transformer::{BlockConfig, Perceptron, check_blocks, check_hidden, check_rope};
use serde::{Deserialize, Serialize};

/// The settings of a [`Dit`](super::Dit). The defaults are smalldiffusion's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DitConfig {
    /// Height and width in pixels.
    pub image_size: i64,
    /// Channels of an image.
    pub channels: i64,
    /// Height and width of a patch, in pixels.
    pub patch_size: i64,
    /// Blocks.
    pub depth: i64,
    /// The width of a head.
    pub head_dim: i64,
    /// Heads. A token is `num_heads·head_dim` wide.
    pub num_heads: i64,
    /// The width of the hidden layer of a block's perceptron, in widths of a token.
    pub mlp_ratio: f64,
    /// What the perceptron does between its layers.
    pub mlp: Perceptron,
    /// How tokens know where they are.
    pub positions: Positions,
    /// Whether queries and keys are normalised.
    pub qk_norm: bool,
    /// Whether blocks begin as the identity (the paper's adaLN-Zero). smalldiffusion's do not.
    pub adaln_zero: bool,
    /// How the level enters.
    pub noise_embedding: NoiseEmbedding,
    /// Classes, without the null class; 0: none.
    pub num_classes: i64,
    /// How a class becomes a vector.
    pub class_embedding: ClassEmbedding,
    /// How often a label is replaced by the null class in training, in [0, 1].
    pub dropout_prob: f64,
    /// Tokens of a text or the like, if the network takes any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// Whether the network has a second set of output channels, the paper's variances, which
    /// denoising does not use.
    pub learn_sigma: bool,
}

/// How tokens know where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    /// Fixed sines and cosines of row and column, added to the tokens.
    #[default]
    SinCos,
    /// Parameters, added to the tokens; they begin as the fixed ones.
    Learned,
    /// Queries and keys are turned by row and column.
    Rope,
}

/// Tokens that a network attends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The width of such a token.
    pub dim: i64,
    /// How the network attends to them.
    pub attention: ContextAttention,
}

/// How a network attends to a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContextAttention {
    /// By a layer of its own in every block, as PixArt-α (arXiv:2310.00426) does.
    Cross,
    /// In one sequence with the image's tokens, which share their weights (the paper's in-context
    /// conditioning).
    Joint,
}

impl Default for DitConfig {
    fn default() -> Self {
        DitConfig {
            image_size: 32,
            channels: 3,
            patch_size: 2,
            depth: 12,
            head_dim: 64,
            num_heads: 6,
            mlp_ratio: 4.0,
            mlp: Perceptron::Gelu,
            positions: Positions::SinCos,
            qk_norm: false,
            adaln_zero: false,
            noise_embedding: NoiseEmbedding::SinCos,
            num_classes: 0,
            class_embedding: ClassEmbedding::Mlp,
            dropout_prob: 0.1,
            context: None,
            learn_sigma: false,
        }
    }
}

/// The sizes of Peebles & Xie (arXiv:2212.09748, Table 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DitSize {
    /// Small: 12 blocks of 384.
    S,
    /// Base: 12 blocks of 768.
    B,
    /// Large: 24 blocks of 1,024.
    L,
    /// Extra large: 28 blocks of 1,152.
    Xl,
}

impl DitConfig {
    /// smalldiffusion's settings for Fashion-MNIST.
    pub fn fashion_mnist() -> Self {
        DitConfig { image_size: 28, channels: 1, depth: 6, head_dim: 32, ..Default::default() }
    }

    /// The network of the paper for latents of 4 channels, `image_size` high and wide (32 for
    /// images of 256 pixels), with its 1,000 classes and variances.
    pub fn paper(size: DitSize, patch_size: i64, image_size: i64) -> Self {
        let (depth, width, num_heads) = match size {
            DitSize::S => (12, 384, 6),
            DitSize::B => (12, 768, 12),
            DitSize::L => (24, 1024, 16),
            DitSize::Xl => (28, 1152, 16),
        };
        DitConfig {
            image_size,
            channels: 4,
            patch_size,
            depth,
            head_dim: width / num_heads,
            num_heads,
            adaln_zero: true,
            noise_embedding: NoiseEmbedding::Timestep { scale: 1.0 },
            num_classes: 1000,
            class_embedding: ClassEmbedding::Table,
            learn_sigma: true,
            ..Default::default()
        }
    }

    /// The width of a token.
    pub fn width(&self) -> i64 {
        self.num_heads * self.head_dim
    }

    /// Patches along a side.
    pub fn grid(&self) -> i64 {
        self.image_size / self.patch_size
    }

    fn hidden(&self) -> i64 {
        self.mlp.hidden(self.width(), self.mlp_ratio)
    }

    /// What each block is made of.
    pub(super) fn block(&self) -> BlockConfig {
        let DitConfig { num_heads, head_dim, qk_norm, mlp, .. } = *self;
        let cross = self.context.filter(|c| c.attention == ContextAttention::Cross);
        let (hidden, cross_dim) = (self.hidden(), cross.map(|c| c.dim));
        BlockConfig { num_heads, head_dim, qk_norm, causal: false, mlp, hidden, cross_dim }
    }

    /// Channels that the network answers with.
    pub(super) fn out_channels(&self) -> i64 {
        self.channels * if self.learn_sigma { 2 } else { 1 }
    }

    /// That the network can be built: an error names the setting.
    pub fn check(&self) -> Result<()> {
        for (field, value) in [
            ("image_size", self.image_size),
            ("channels", self.channels),
            ("patch_size", self.patch_size),
        ] {
            check_size(field, value)?;
        }
        check_blocks(self.depth, self.num_heads, self.head_dim)?;
        if self.image_size % self.patch_size != 0 {
            let expected = format!("a divisor of image_size, {}", self.image_size);
            return Err(Error::setting("patch_size", self.patch_size, expected));
        }
        if self.positions == Positions::Rope {
            check_rope(self.head_dim)?;
        }
        check_hidden(self.mlp_ratio, self.hidden())?;
        if self.num_classes != 0 {
            check_size("num_classes", self.num_classes)?;
        }
        if let Some(context) = self.context {
            check_size("context.dim", context.dim)?;
        }
        check_probability("dropout_prob", self.dropout_prob)?;
        self.noise_embedding.check()
    }
}
