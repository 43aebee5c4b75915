//! The settings of a transformer of sequences.

use crate::embed::{ClassEmbedding, NoiseEmbedding};
use crate::inputs::{check_probability, check_size};
use crate::transformer::{BlockConfig, Perceptron, check_blocks, check_hidden, check_rope};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The settings of a [`Transformer1d`](super::Transformer1d).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transformer1dConfig {
    /// Tokens of a sequence.
    pub length: i64,
    /// What a token is.
    pub tokens: Tokens,
    /// Blocks.
    pub depth: i64,
    /// The width of a head.
    pub head_dim: i64,
    /// Heads. Within the network a token is `num_heads·head_dim` wide.
    pub num_heads: i64,
    /// The width of the hidden layer of a block's perceptron, in widths of a token.
    pub mlp_ratio: f64,
    /// What the perceptron does between its layers.
    pub mlp: Perceptron,
    /// How tokens know where they are.
    pub positions: SequencePositions,
    /// Whether a token sees itself and those before it alone.
    pub causal: bool,
    /// Whether queries and keys are normalised.
    pub qk_norm: bool,
    /// Whether blocks begin as the identity (DiT's adaLN-Zero).
    pub adaln_zero: bool,
    /// How the level enters.
    pub noise_embedding: NoiseEmbedding,
    /// Classes, without the null class; 0: none.
    pub num_classes: i64,
    /// How a class becomes a vector.
    pub class_embedding: ClassEmbedding,
    /// How often a label is replaced by the null class in training, in [0, 1].
    pub dropout_prob: f64,
}

/// What a token of a sequence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokens {
    /// So many numbers: `[batch, length, dim]` to the same shape.
    Dim(i64),
    /// A whole number from 0 to this, excluded: `[batch, length]` of 64-bit integers to logits
    /// `[batch, length, vocab_size]`. A mask token is one of them.
    VocabSize(i64),
}

/// How tokens of a sequence know where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SequencePositions {
    /// Fixed sines and cosines, added to the tokens.
    #[default]
    SinCos,
    /// Parameters, added to the tokens; they begin as the fixed ones.
    Learned,
    /// Queries and keys are turned.
    Rope,
    /// They don't: a sequence is a set, unless it is causal.
    None,
}

impl Default for Transformer1dConfig {
    fn default() -> Self {
        Transformer1dConfig {
            length: 64,
            tokens: Tokens::Dim(2),
            depth: 6,
            head_dim: 32,
            num_heads: 6,
            mlp_ratio: 4.0,
            mlp: Perceptron::Gelu,
            positions: SequencePositions::SinCos,
            causal: false,
            qk_norm: false,
            adaln_zero: true,
            noise_embedding: NoiseEmbedding::SinCos,
            num_classes: 0,
            class_embedding: ClassEmbedding::Table,
            dropout_prob: 0.1,
        }
    }
}

impl Transformer1dConfig {
    /// The width of a token within the network.
    pub fn width(&self) -> i64 {
        self.num_heads * self.head_dim
    }

    /// The shape of one sample, without the batch.
    pub fn sample_shape(&self) -> Vec<i64> {
        match self.tokens {
            Tokens::Dim(dim) => vec![self.length, dim],
            Tokens::VocabSize(_) => vec![self.length],
        }
    }

    fn hidden(&self) -> i64 {
        self.mlp.hidden(self.width(), self.mlp_ratio)
    }

    /// What each block is made of.
    pub(super) fn block(&self) -> BlockConfig {
        let Transformer1dConfig { num_heads, head_dim, qk_norm, causal, mlp, .. } = *self;
        let hidden = self.hidden();
        BlockConfig { num_heads, head_dim, qk_norm, causal, mlp, hidden, cross_dim: None }
    }

    /// That the network can be built: an error names the setting.
    pub fn check(&self) -> Result<()> {
        check_size("length", self.length)?;
        match self.tokens {
            Tokens::Dim(dim) => check_size("tokens.dim", dim)?,
            Tokens::VocabSize(size) if (1..=1 << 20).contains(&size) => {}
            Tokens::VocabSize(size) => {
                return Err(Error::setting("tokens.vocab_size", size, format!("1 to {}", 1 << 20)));
            }
        }
        check_blocks(self.depth, self.num_heads, self.head_dim)?;
        if self.positions == SequencePositions::Rope {
            check_rope(self.head_dim)?;
        }
        check_hidden(self.mlp_ratio, self.hidden())?;
        if self.num_classes != 0 {
            check_size("num_classes", self.num_classes)?;
        }
        check_probability("dropout_prob", self.dropout_prob)?;
        self.noise_embedding.check()
    }
}
