//! Fixed positions: sines and cosines (Vaswani et al., arXiv:1706.03762, §3.5).

use tch::{Device, Kind, Tensor};
use tweedie_torch::{Result, tensor};

/// `half` sines and as many cosines of `place·10000^(−i/half)`.
pub(crate) fn sin_cos(place: i64, half: i64) -> impl Iterator<Item = f64> {
    let angle = move |i: i64| place as f64 / 10_000f64.powf(i as f64 / half as f64);
    (0..half).map(move |i| angle(i).sin()).chain((0..half).map(move |i| angle(i).cos()))
}

/// [`sin_cos`] of the places in a sequence: `[1, length, width]`, in single precision.
pub(crate) fn sin_cos_sequence(length: i64, width: i64, device: Device) -> Result<Tensor> {
    let values: Vec<f64> = (0..length).flat_map(|place| sin_cos(place, width / 2)).collect();
    let t = tensor::from_f64(&values, &[1, length, width])?.to_kind(Kind::Float);
    Ok(t.f_to_device(device)?)
}
