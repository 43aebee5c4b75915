//! The formulas that `golden/make.py` makes its inputs of.

use tch::{Kind, Tensor};
use tweedie_torch::tensor::{from_f32, from_f64};

/// Numbers in [−1, 1) that depend on the salt and an element's place alone.
pub(crate) fn uniform(salt: u32, count: usize) -> Vec<f64> {
    let one = |i: u32| {
        let mut h = i.wrapping_mul(2_654_435_761).wrapping_add(salt.wrapping_mul(2_246_822_519));
        h = (h ^ h >> 15).wrapping_mul(2_246_822_519);
        h = (h ^ h >> 13).wrapping_mul(3_266_489_917);
        h ^= h >> 16;
        f64::from(h) / 2_147_483_648.0 - 1.0
    };
    (0..count as u32).map(one).collect()
}

/// `[n, d]`, single precision.
pub(crate) fn features(salt: u32, n: i64, d: i64, scale: f64, shift: f64) -> Tensor {
    let double = |salt, n, d| from_f64(&uniform(salt, (n * d) as usize), &[n, d]).unwrap();
    let mix = double(salt + 1000, d, d) + Tensor::eye(d, tch::kind::DOUBLE_CPU);
    (double(salt, n, d).matmul(&mix) * scale + shift).to_kind(Kind::Float)
}

/// In single precision.
pub(crate) fn single(values: impl Iterator<Item = f64>, shape: &[i64]) -> Tensor {
    from_f32(&values.map(|v| v as f32).collect::<Vec<_>>(), shape).unwrap()
}
