//! Diffusion and flow-matching models on libtorch
