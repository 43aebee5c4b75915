//! The training loop of diffusion and flow models: objectives, optimiser, EMA, checkpoints
