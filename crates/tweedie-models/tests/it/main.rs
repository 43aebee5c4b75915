//! Networks against smalldiffusion's numbers, and files against everything.

mod classes;
mod embeddings;
mod files;
mod golden;
mod init;
mod training;
