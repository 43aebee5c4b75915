//! Denoisers around denoisers.

use crate::{Denoiser, Result, guidance::DynamicThreshold};
use std::cell::Cell;
use tch::Tensor;
use tweedie_schedules::NoiseLevel;

/// Wraps any denoiser; the wrappers nest, the outermost acts last.
pub trait DenoiserExt: Denoiser {
    /// Clamps the estimate to `[low, high]`, as pixel models of the DDPM line do.
    fn clipped(self, low: f64, high: f64) -> Clipped<Self>
    where
        Self: Sized,
    {
        Clipped { inner: self, low, high }
    }

    /// Keeps the estimate in range by a quantile of its own, as Imagen does: see
    /// [`DynamicThreshold`].
    ///
    /// # Errors
    /// For a quantile outside (0, 1], or a maximum below 1.
    fn dynamic_threshold(self, quantile: f64, max: f64) -> Result<DynamicThreshold<Self>>
    where
        Self: Sized,
    {
        DynamicThreshold::new(self, quantile, max)
    }

    /// Counts the calls.
    fn counted(self) -> Counted<Self>
    where
        Self: Sized,
    {
        Counted { inner: self, calls: Cell::new(0) }
    }

    /// Lends the denoiser to a wrapper that wants to own one.
    fn by_ref(&self) -> ByRef<'_, Self> {
        ByRef(self)
    }
}

impl<D: Denoiser + ?Sized> DenoiserExt for D {}

/// See [`DenoiserExt::clipped`].
#[derive(Clone, Copy, Debug)]
pub struct Clipped<D> {
    inner: D,
    low: f64,
    high: f64,
}

impl<D: Denoiser> Denoiser for Clipped<D> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        Ok(self.inner.denoise(x, level)?.clamp(self.low, self.high))
    }

    fn denoise_each(&self, x: &Tensor, levels: &[NoiseLevel]) -> Result<Tensor> {
        Ok(self.inner.denoise_each(x, levels)?.clamp(self.low, self.high))
    }
}

/// See [`DenoiserExt::counted`].
#[derive(Debug)]
pub struct Counted<D> {
    inner: D,
    calls: Cell<usize>,
}

impl<D> Counted<D> {
    /// How often the denoiser was asked since the start or the last [`reset`](Self::reset).
    pub fn calls(&self) -> usize {
        self.calls.get()
    }

    /// Counts from 0 again.
    pub fn reset(&self) {
        self.calls.set(0);
    }
}

impl<D: Denoiser> Denoiser for Counted<D> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        self.calls.set(self.calls.get() + 1);
        self.inner.denoise(x, level)
    }

    /// One call, whatever the number of levels.
    fn denoise_each(&self, x: &Tensor, levels: &[NoiseLevel]) -> Result<Tensor> {
        self.calls.set(self.calls.get() + 1);
        self.inner.denoise_each(x, levels)
    }
}

/// See [`DenoiserExt::by_ref`].
#[derive(Debug)]
pub struct ByRef<'a, D: ?Sized>(&'a D);

impl<D: Denoiser + ?Sized> Denoiser for ByRef<'_, D> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        self.0.denoise(x, level)
    }

    fn denoise_each(&self, x: &Tensor, levels: &[NoiseLevel]) -> Result<Tensor> {
        self.0.denoise_each(x, levels)
    }
}
