//! Samplers of diffusion and flow models, as iterators of steps
