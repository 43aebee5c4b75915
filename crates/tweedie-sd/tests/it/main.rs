//! What diffusers makes of the same weights (`golden/make.py`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // as in any test

#[cfg(feature = "hf-hub")]
mod hub;
mod ldm;
mod lora;
mod parts;
mod runs;
mod shortcuts;
mod support;
mod text_broken;
mod text_inversion;
mod text_prompt;
mod text_tokenizer;
mod text_weighting;
