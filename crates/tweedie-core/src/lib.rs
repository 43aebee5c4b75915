//! The denoiser contract: predictions, preconditioning, guidance and noise
