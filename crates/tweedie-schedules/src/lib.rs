//! Noise levels, schedules and time grids of diffusion and flow-matching models, in plain Rust
