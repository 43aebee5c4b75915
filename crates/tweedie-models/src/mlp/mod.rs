//! Small networks for points in the plane (smalldiffusion's), the toys of every tutorial.

mod conditional;
mod stack;
mod time_input;

pub use conditional::{ConditionalMlp, ConditionalMlpConfig};
use stack::Mlp;
pub use time_input::{TimeInputMlp, TimeInputMlpConfig};

use crate::{Error, Result};

/// Widths above this are mistakes.
const MAX_WIDTH: i64 = 1 << 16;

fn check_width(field: &'static str, width: i64) -> Result<()> {
    match (1..=MAX_WIDTH).contains(&width) {
        true => Ok(()),
        false => Err(Error::setting(field, width, format!("1 to {MAX_WIDTH}"))),
    }
}

fn check_hidden(hidden_dims: &[i64]) -> Result<()> {
    if !(1..=256).contains(&hidden_dims.len()) {
        return Err(Error::setting("hidden_dims", hidden_dims, "1 to 256 widths"));
    }
    hidden_dims.iter().try_for_each(|&width| check_width("hidden_dims", width))
}
