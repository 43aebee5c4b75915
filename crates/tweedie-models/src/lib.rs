//! Networks of diffusion and flow models, their parameters and weight files
