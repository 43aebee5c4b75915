//! The program from the outside: what it prints, where, and with which exit code.

mod bad_input;
mod listings;
mod resume;
mod sampling;
mod support;
