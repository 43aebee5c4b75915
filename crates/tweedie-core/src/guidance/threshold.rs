//! Dynamic thresholding.

use crate::{Denoiser, Error, Result};
use tch::{Kind, Tensor};
use tweedie_schedules::NoiseLevel;

/// Keeps estimates in range as Imagen does (arXiv:2205.11487, §2.3): with `s` the given quantile of
/// a sample's absolute values, but at least 1 and at most `max`, values are clamped to `[−s, s]` and
/// divided by `s`. For pixels in [−1, 1]; latents have no such range.
/// See [`DenoiserExt::dynamic_threshold`](crate::DenoiserExt::dynamic_threshold).
#[derive(Clone, Copy, Debug)]
pub struct DynamicThreshold<D> {
    inner: D,
    quantile: f64,
    max: f64,
}

impl<D: Denoiser> DynamicThreshold<D> {
    /// The quantile (Imagen's is 0.995) and the largest `s` (infinite in the paper).
    ///
    /// # Errors
    /// For a quantile outside (0, 1], or a maximum below 1.
    pub fn new(inner: D, quantile: f64, max: f64) -> Result<Self> {
        if !(quantile > 0.0 && quantile <= 1.0) {
            return Err(Error::invalid("quantile", quantile, "a number in (0, 1]"));
        }
        if max.is_nan() || max < 1.0 {
            return Err(Error::invalid("max", max, "a number of at least 1"));
        }
        Ok(DynamicThreshold { inner, quantile, max })
    }
}

impl<D: Denoiser> Denoiser for DynamicThreshold<D> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        let x0 = self.inner.denoise(x, level)?;
        let size = x0.size();
        if size.len() < 2 || x0.numel() == 0 {
            return Err(Error::shape("x0", "[batch, …], not empty", &size));
        }
        let kind = if x0.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        let s = quantile(&x0.abs().flatten(1, -1).to_kind(kind), self.quantile);
        let s = s.clamp(1.0, self.max).to_kind(x0.kind());
        let s =
            s.reshape(vec![size[0]].into_iter().chain(vec![1; size.len() - 1]).collect::<Vec<_>>());
        Ok(x0.minimum(&s).maximum(&-&s) / s)
    }
}

/// The quantile of each row, `[rows]`, between neighbours by a line. (libtorch's own refuses more
/// than 2²⁴ numbers and sorts them all; this needs the two at the place only.)
fn quantile(rows: &Tensor, q: f64) -> Tensor {
    let last = rows.size()[1] - 1;
    let at = q * last as f64;
    let (below, share) = (at.floor() as i64, at.fract());
    let kth = |k: i64| rows.kthvalue(k + 1, 1, false).0;
    let low = kth(below);
    match share > 0.0 && below < last {
        true => low.lerp(&kth(below + 1), share),
        false => low,
    }
}
