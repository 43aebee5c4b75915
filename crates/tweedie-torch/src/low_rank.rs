//! Low-rank terms beside a layer's weight (LoRA; Hu et al., arXiv:2106.09685):
//! `y = W·x + Σ sᵢ·Bᵢ·(Aᵢ·x)`. The weight stays as it is, and the scales `sᵢ` may change between calls.

use crate::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tch::{Device, Kind, Tensor};

/// A number that many terms share: who holds it changes it for all of them.
#[derive(Clone, Debug)]
pub struct SharedScale(Arc<AtomicU64>);

impl SharedScale {
    /// A number of its own.
    pub fn new(scale: f64) -> Self {
        SharedScale(Arc::new(AtomicU64::new(scale.to_bits())))
    }

    /// What it is now.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// Changes it.
    pub fn set(&self, scale: f64) {
        self.0.store(scale.to_bits(), Ordering::Relaxed);
    }
}

/// One term: `scale·up·(down·x)`.
#[derive(Debug)]
pub struct LowRank {
    /// `[rank, inputs]`; of a convolution `[rank, inputs·height·width]`.
    pub down: Tensor,
    /// `[outputs, rank]`
    pub up: Tensor,
    /// What it is multiplied by; at 0 it is not computed.
    pub scale: SharedScale,
}

impl LowRank {
    /// The same term for a layer that computes as `kind` on `device`.
    pub(crate) fn to(&self, kind: Kind, device: Device) -> Result<Self> {
        let moved = |t: &Tensor| t.f_to_device(device)?.f_to_kind(kind);
        Ok(LowRank { down: moved(&self.down)?, up: moved(&self.up)?, scale: self.scale.clone() })
    }
}

/// Adds to `y` what `product` makes of each term, in `y`'s memory, which nobody else holds.
pub(crate) fn add(
    mut y: Tensor,
    terms: &[LowRank],
    product: impl Fn(&LowRank) -> Result<Tensor>,
) -> Result<Tensor> {
    for term in terms {
        let scale = term.scale.get();
        if scale != 0.0 {
            y = y.f_add_(&product(term)?.f_mul_scalar(scale)?)?;
        }
    }
    Ok(y)
}
