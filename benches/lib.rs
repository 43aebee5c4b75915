//! The benchmarks are in `benches/`; peers to compare with in `peers/`.
