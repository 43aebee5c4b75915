//! A time as a bank of sinusoids (Vaswani et al., arXiv:1706.03762, §3.5).

use tch::{Kind, Tensor};
use tweedie_torch::Result;
use tweedie_torch::parameters::{Linear, Scope};

/// `[cos(t·f_0), …, sin(t·f_0), …]` with `f_i = max_period^(−i/half)`, `half = dim / 2`: cosines
/// first, as smalldiffusion and DiT have it. `[batch]` to `[batch, 2·half]`, in single precision.
pub fn timestep_embedding(t: &Tensor, dim: i64, max_period: f64) -> Tensor {
    let half = dim / 2;
    let index = Tensor::arange(half, (Kind::Float, t.device()));
    let frequencies = (index * (-max_period.ln()) / half as f64).exp();
    let angles = t.to_kind(Kind::Float).unsqueeze(1) * frequencies.unsqueeze(0);
    Tensor::cat(&[angles.cos(), angles.sin()], 1)
}

/// [`timestep_embedding`] of a flow's time through three linear layers with GELU (by tanh)
/// between: smalldiffusion's `TimestepEmbedder`, parameters `mlp.0`, `mlp.2`, `mlp.4`.
#[derive(Debug)]
pub struct TimestepEmbedder {
    mlp: [Linear; 3],
}

impl TimestepEmbedder {
    /// The number of sines and cosines.
    const FREQUENCIES: i64 = 256;
    const WIDTH: i64 = 1024;

    /// An embedding of `hidden_size` numbers.
    pub fn new(p: &mut Scope<'_>, hidden_size: i64) -> Result<Self> {
        let mlp = [
            Linear::new(&mut p.sub("mlp.0"), Self::FREQUENCIES, Self::WIDTH, true)?,
            Linear::new(&mut p.sub("mlp.2"), Self::WIDTH, hidden_size, true)?,
            Linear::new(&mut p.sub("mlp.4"), hidden_size, hidden_size, true)?,
        ];
        Ok(TimestepEmbedder { mlp })
    }

    /// `[batch]` times in [0, 1] to `[batch, hidden_size]`.
    pub fn forward(&self, t: &Tensor) -> Tensor {
        let [first, second, third] = &self.mlp;
        let bank = timestep_embedding(&(t * 1000.0), Self::FREQUENCIES, 10_000.0);
        let h = first.forward(&bank.to_kind(first.weight.kind())).gelu("tanh");
        third.forward(&second.forward(&h).gelu("tanh"))
    }

    /// Its linear layers, for networks that initialise them anew.
    pub(crate) fn linears(&self) -> [&Linear; 3] {
        self.mlp.each_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::tensor::{from_f32, to_f32};

    #[test]
    fn cosines_come_first() {
        let t = from_f32(&[0.0, 2.0], &[2]).unwrap();
        let e = to_f32(&timestep_embedding(&t, 4, 100.0)).unwrap();
        // Frequencies 1 and 100^(−1/2) = 0.1.
        let expected = [1.0, 1.0, 0.0, 0.0, 2f32.cos(), 0.2f32.cos(), 2f32.sin(), 0.2f32.sin()];
        assert!(e.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{e:?}"); // f32
    }
}
