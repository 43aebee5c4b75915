//! Toy sets, digits, IDX and npy files, and parallel loaders for diffusion models
