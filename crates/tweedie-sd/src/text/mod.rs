//! From a prompt to what a text encoder takes: tokens, weights, and new words.
//!
//! Read [`Tokenizer`] first, then [`PromptOptions`] and [`EncodedPrompt`]; [`weighting`] is the
//! notation of weights and [`TextualInversion`] adds learned words.

mod built_in;
mod inversion;
mod prompt;
mod roles;
mod tokenizer;
mod vocabulary;
pub mod weighting;

pub use inversion::{ClipEncoder, LearnedRows, TextualInversion};
pub use prompt::{EncodedPrompt, PromptOptions};
pub use roles::SpecialTokens;
pub use tokenizer::Tokenizer;
