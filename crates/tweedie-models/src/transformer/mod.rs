//! What transformers of patches and of tokens share.

mod attention;
mod block;
mod positions;
mod rope;
mod trunk;

pub use attention::{Attention, AttentionConfig, CrossAttention};
pub use block::Perceptron;
pub(crate) use block::{Block, BlockConfig, ModulatedLayerNorm};
pub(crate) use positions::{sin_cos, sin_cos_sequence};
pub use rope::Rope;
pub(crate) use trunk::{Trunk, check_blocks, check_hidden, check_rope};
