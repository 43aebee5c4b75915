//! Networks against smalldiffusion's numbers, and files against everything.
#![allow(clippy::unwrap_used, clippy::panic)]

mod batches;
mod classes;
mod embeddings;
mod files;
mod golden;
mod images;
mod init;
mod training;
