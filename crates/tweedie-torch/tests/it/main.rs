//! tweedie-torch against PyTorch's numbers, against what bites in tch, and as a program sets it up.
// `allow-unwrap-in-tests` does not reach helpers outside of test functions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod golden;
mod ops;
mod runtime;
mod store;
mod traps;
