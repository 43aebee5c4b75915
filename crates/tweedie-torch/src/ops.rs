//! What networks do between their products, each as one operation with its own backward pass.
//!
//! On the CPU in single precision and bf16 these are kernels that read their inputs once or twice and
//! write once; libtorch's separate operations do so several times, and its group norm of bf16 images
//! alone took 44 % of a U-Net's forward pass. Elsewhere they are libtorch's own operations. There are
//! no second derivatives.
#![allow(unsafe_code)]

use crate::{Result, ffi};
use tch::Tensor;

/// What surrounds the norm of [`group_norm`].
#[derive(Debug, Default)]
pub struct Around<'a> {
    /// Added to each channel before: `[batch, channels]`.
    pub shift: Option<&'a Tensor>,
    /// Whether SiLU follows.
    pub silu: bool,
}

/// `silu(norm(x + shift)·weight + bias)` over groups of channels and all pixels (Wu & He,
/// arXiv:1803.08494). `x` is `[batch, channels, height, width]`, `weight` and `bias` are `[channels]`,
/// or `[batch, channels]` where a condition sets them. The answer has its channels last in memory.
///
/// # Errors
/// If the shapes don't fit together.
pub fn group_norm(
    x: &Tensor,
    groups: i64,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    Around { shift, silu }: Around<'_>,
) -> Result<Tensor> {
    let shift = shift.map_or(std::ptr::null_mut(), ffi::raw);
    // SAFETY: the pointers are of live tensors, `shift` may be null.
    ffi::made_one(|out| unsafe {
        let (x, weight, bias) = (ffi::raw(x), ffi::raw(weight), ffi::raw(bias));
        ffi::tweedie_group_norm(x, weight, bias, shift, groups, eps, silu, out)
    })
}

/// `norm(x)·(1 + scale) + shift`, the norm over the last dimension (DiT's adaptive layer norm,
/// arXiv:2212.09748). `x` is `[batch, tokens, width]`, `scale` and `shift` are `[batch, 1, width]`.
///
/// # Errors
/// If the shapes don't fit together.
pub fn modulated_norm(x: &Tensor, scale: &Tensor, shift: &Tensor, eps: f64) -> Result<Tensor> {
    // SAFETY: the pointers are of live tensors.
    ffi::made_one(|out| unsafe {
        ffi::tweedie_modulated_norm(ffi::raw(x), ffi::raw(scale), ffi::raw(shift), eps, out)
    })
}

/// `x + gate·h`: `x` and `h` are `[batch, tokens, width]`, `gate` is `[batch, 1, width]`.
///
/// # Errors
/// If the shapes don't fit together.
pub fn gated(x: &Tensor, gate: &Tensor, h: &Tensor) -> Result<Tensor> {
    // SAFETY: the pointers are of live tensors.
    ffi::made_one(|out| unsafe {
        ffi::tweedie_gated(ffi::raw(x), ffi::raw(gate), ffi::raw(h), out)
    })
}

/// GELU by tanh (Hendrycks & Gimpel, arXiv:1606.08415), in the memory of `x` where nobody else holds
/// it and no gradient needs what was there.
pub fn gelu(x: Tensor) -> Result<Tensor> {
    // SAFETY: the pointer is of a live tensor.
    ffi::made_one(|out| unsafe { ffi::tweedie_gelu(ffi::raw(&x), out) })
}
