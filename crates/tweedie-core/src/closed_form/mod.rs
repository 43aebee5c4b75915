//! Data whose denoiser is known exactly: to test samplers, to teach, and as baselines.

mod data_set;
mod gaussian;
mod mixture;

pub use data_set::DataSet;
pub use gaussian::Gaussian;
pub use mixture::GaussianMixture;
