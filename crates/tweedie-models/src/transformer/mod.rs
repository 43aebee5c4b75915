//! What transformers of patches and of tokens share.

mod attention;
mod block;
mod rope;

pub use attention::{Attention, AttentionConfig, CrossAttention};
pub use block::Perceptron;
pub(crate) use block::{Block, BlockConfig, ModulatedLayerNorm};
pub use rope::Rope;
