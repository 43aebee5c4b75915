//! The program `tweedie`.
fn main() {}
