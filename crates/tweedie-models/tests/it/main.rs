//! Networks against smalldiffusion's numbers, and files against everything.
#![allow(clippy::unwrap_used, clippy::panic)]

mod classes;
mod embeddings;
mod files;
mod golden;
mod images;
mod init;
mod training;
