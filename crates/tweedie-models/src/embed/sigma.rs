//! A level as two numbers: smalldiffusion's replacement of the usual bank of sinusoids.

use tch::{Kind, Tensor};
use tweedie_torch::Result;
use tweedie_torch::parameters::{Linear, Scope};

/// `[sin(s), cos(s)]` of `s = ln(noise)·factor`, or of `noise·factor` if not `log_scale`:
/// `[batch]` to `[batch, 2]`, in single precision.
pub fn sin_cos(noise: &Tensor, factor: f64, log_scale: bool) -> Tensor {
    let noise = noise.to_kind(Kind::Float).unsqueeze(1);
    let s = if log_scale { noise.log() * factor } else { noise * factor };
    Tensor::cat(&[s.sin(), s.cos()], 1)
}

/// [`sin_cos`] through a small network: linear, SiLU, linear (smalldiffusion's
/// `SigmaEmbedderSinCos`, parameters `mlp.0` and `mlp.2`).
#[derive(Debug)]
pub struct SigmaEmbedderSinCos {
    mlp: (Linear, Linear),
    factor: f64,
    log_scale: bool,
}

impl SigmaEmbedderSinCos {
    /// smalldiffusion's own factor, for the logarithm of a sigma.
    pub const FACTOR: f64 = 0.5;

    /// An embedding of `hidden_size` numbers.
    pub fn new(p: &mut Scope<'_>, hidden_size: i64, factor: f64, log_scale: bool) -> Result<Self> {
        let mlp = (
            Linear::new(&mut p.sub("mlp.0"), 2, hidden_size, true)?,
            Linear::new(&mut p.sub("mlp.2"), hidden_size, hidden_size, true)?,
        );
        Ok(SigmaEmbedderSinCos { mlp, factor, log_scale })
    }

    /// `[batch]` levels to `[batch, hidden_size]`.
    pub fn forward(&self, noise: &Tensor) -> Tensor {
        let h = sin_cos(noise, self.factor, self.log_scale).to_kind(self.mlp.0.weight.kind());
        self.mlp.1.forward(&self.mlp.0.forward(&h).silu())
    }

    /// Its linear layers, for networks that initialise them anew.
    pub(crate) fn linears(&self) -> [&Linear; 2] {
        [&self.mlp.0, &self.mlp.1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::tensor::{from_f32, to_f32};

    #[test]
    fn the_logarithm_of_one_is_angle_zero() {
        let noise = from_f32(&[1.0, std::f32::consts::E.powi(2)], &[2]).unwrap();
        let e = to_f32(&sin_cos(&noise, 0.5, true)).unwrap();
        let expected = [0.0, 1.0, 1f32.sin(), 1f32.cos()];
        assert!(e.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{e:?}"); // f32
        let linear = to_f32(&sin_cos(&noise.zeros_like(), 1000.0, false)).unwrap();
        assert_eq!(linear, [0.0, 1.0, 0.0, 1.0]);
    }
}
