//! Guidance at some noise levels only.

use crate::{Denoiser, Error, Result};
use tch::Tensor;
use tweedie_schedules::NoiseLevel;

/// One denoiser inside an interval of noise levels, another outside: limited-interval guidance
/// (arXiv:2404.07724, eq. 6), where `inside` is guided and `outside` the conditional branch alone.
/// Only the one that counts is asked, so outside the interval guidance costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Interval<I, O> {
    inside: I,
    outside: O,
    low: f64,
    high: f64,
}

impl<I: Denoiser, O: Denoiser> Interval<I, O> {
    /// `inside` acts where `low < sigma/alpha <= high`; the noise ratio is EDM's sigma, in which
    /// the paper gives its intervals.
    ///
    /// # Errors
    /// Unless `0 <= low < high`; `high` may be infinite.
    pub fn new(inside: I, outside: O, low: f64, high: f64) -> Result<Self> {
        if !(0.0 <= low && low < high) {
            let found = format!("({low}, {high}]");
            return Err(Error::invalid("the interval of guidance", found, "0 <= low < high"));
        }
        Ok(Interval { inside, outside, low, high })
    }

    /// Whether `inside` acts at `level`.
    pub fn contains(&self, level: NoiseLevel) -> bool {
        let ratio = level.ratio();
        self.low < ratio && ratio <= self.high
    }
}

impl<I: Denoiser, O: Denoiser> Denoiser for Interval<I, O> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        match self.contains(level) {
            true => self.inside.denoise(x, level),
            false => self.outside.denoise(x, level),
        }
    }
}
