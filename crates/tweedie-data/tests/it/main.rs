//! Files that are whole, and files that are not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // as in any test

mod augment;
mod cifar;
mod files;
mod images;
mod latents;
mod npz;
mod support;
mod tables;
