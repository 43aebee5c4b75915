//! Networks against smalldiffusion's numbers, and files against everything.
#![allow(clippy::unwrap_used, clippy::panic)]

mod batches;
mod checkpoints;
mod classes;
mod counts;
mod embeddings;
mod files;
mod formula;
mod golden;
mod images;
mod init;
mod perturbed;
mod sequences;
mod settings;
mod training;
