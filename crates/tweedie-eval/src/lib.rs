#![doc = include_str!("../README.md")]

mod error;
pub mod nearest;
mod sets;

pub use error::{Error, Result};
