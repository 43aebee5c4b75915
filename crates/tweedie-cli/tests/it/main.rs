//! The program from the outside: what it prints, where, and with which exit code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)] // as in any test

mod bad_input;
mod browser;
mod data;
mod draw;
mod eval;
mod listings;
mod report;
mod resume;
mod sampling;
mod support;
