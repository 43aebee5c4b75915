//! Numbers of reference implementations, and a whole evaluation of real digits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // as in any test

mod digits;
mod inception;
mod measures;
mod support;
