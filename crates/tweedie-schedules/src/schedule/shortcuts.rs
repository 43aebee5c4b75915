//! One call for each of smalldiffusion's schedules.

use super::{Cosine, Ddpm, Flow, Ldm, LogLinear, LogNormalFlow, Schedule, Sigmoid};
use crate::error::Result;

impl Schedule {
    /// [`LogLinear`] with these parameters.
    ///
    /// # Errors
    /// As [`LogLinear::build`].
    pub fn log_linear(n: usize, sigma_min: f64, sigma_max: f64) -> Result<Self> {
        LogLinear { n, sigma_min, sigma_max }.build()
    }

    /// [`Ddpm`] with these parameters.
    ///
    /// # Errors
    /// As [`Ddpm::build`].
    pub fn ddpm(n: usize, beta_start: f64, beta_end: f64) -> Result<Self> {
        Ddpm { n, beta_start, beta_end }.build()
    }

    /// [`Ldm`] with these parameters.
    ///
    /// # Errors
    /// As [`Ldm::build`].
    pub fn ldm(n: usize, beta_start: f64, beta_end: f64) -> Result<Self> {
        Ldm { n, beta_start, beta_end }.build()
    }

    /// [`Sigmoid`] with these parameters.
    ///
    /// # Errors
    /// As [`Sigmoid::build`].
    pub fn sigmoid(n: usize, beta_start: f64, beta_end: f64) -> Result<Self> {
        Sigmoid { n, beta_start, beta_end }.build()
    }

    /// [`Cosine`] with these parameters.
    ///
    /// # Errors
    /// As [`Cosine::build`].
    pub fn cosine(n: usize, max_beta: f64) -> Result<Self> {
        Cosine { n, max_beta }.build()
    }

    /// [`Flow`] with these parameters.
    ///
    /// # Errors
    /// As [`Flow::build`].
    pub fn flow(n: usize, t_min: f64, t_max: f64) -> Result<Self> {
        Flow { n, t_min, t_max }.build()
    }

    /// [`LogNormalFlow`] with these parameters.
    ///
    /// # Errors
    /// As [`Flow::build`].
    pub fn log_normal_flow(n: usize, t_min: f64, t_max: f64) -> Result<Self> {
        LogNormalFlow { n, t_min, t_max }.build()
    }
}
