//! The ways in which an image network is told its level, as a setting.

use super::{SigmaEmbedderSinCos, TimestepEmbedder, timestep_embedding};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::NoiseInput;
use tweedie_torch::Result;
use tweedie_torch::parameters::{Linear, Scope};

/// How a level becomes a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NoiseEmbedding {
    /// Sine and cosine of `ln(sigma)/2` through a small network ([`SigmaEmbedderSinCos`]):
    /// smalldiffusion's own, for a sigma above 0.
    #[default]
    SinCos,
    /// [`TimestepEmbedder`]: smalldiffusion's, for a flow's time in [0, 1].
    FlowTime,
    /// 256 sines and cosines of `scale·noise`, linear, SiLU, linear: DDPM's and DiT's, for
    /// anything that may be told. DiT's own time runs to 1,000; EDM's and a flow's want a scale of
    /// about 1,000.
    Timestep {
        /// What the level is multiplied by.
        #[serde(default = "thousand")]
        scale: f64,
    },
}

fn thousand() -> f64 {
    1000.0
}

impl NoiseEmbedding {
    /// That its numbers make sense.
    pub(crate) fn check(&self) -> crate::Result<()> {
        match *self {
            NoiseEmbedding::Timestep { scale } if !(scale.is_finite() && scale != 0.0) => {
                let expected = "a finite number that is not 0";
                Err(crate::Error::setting("noise_embedding.scale", scale, expected))
            }
            _ => Ok(()),
        }
    }

    /// Whether it takes a level in this form: the logarithm of a negative number it cannot.
    pub(crate) fn takes(&self, noise: NoiseInput) -> bool {
        match self {
            NoiseEmbedding::SinCos | NoiseEmbedding::FlowTime => noise == NoiseInput::Sigma,
            NoiseEmbedding::Timestep { .. } => true,
        }
    }

    /// The network of it, with `hidden_size` numbers at its end.
    pub fn build(self, p: &mut Scope<'_>, hidden_size: i64) -> Result<NoiseEmbedder> {
        Ok(match self {
            NoiseEmbedding::SinCos => {
                let factor = SigmaEmbedderSinCos::FACTOR;
                NoiseEmbedder::SinCos(SigmaEmbedderSinCos::new(p, hidden_size, factor, true)?)
            }
            NoiseEmbedding::FlowTime => {
                NoiseEmbedder::FlowTime(TimestepEmbedder::new(p, hidden_size)?)
            }
            NoiseEmbedding::Timestep { scale } => {
                let mlp = [
                    Linear::new(&mut p.sub("mlp.0"), FREQUENCIES, hidden_size, true)?,
                    Linear::new(&mut p.sub("mlp.2"), hidden_size, hidden_size, true)?,
                ];
                NoiseEmbedder::Timestep { mlp, scale }
            }
        })
    }
}

const FREQUENCIES: i64 = 256;

/// A [`NoiseEmbedding`] with its parameters.
#[derive(Debug)]
pub enum NoiseEmbedder {
    /// [`NoiseEmbedding::SinCos`].
    SinCos(SigmaEmbedderSinCos),
    /// [`NoiseEmbedding::FlowTime`].
    FlowTime(TimestepEmbedder),
    /// [`NoiseEmbedding::Timestep`].
    Timestep {
        /// `mlp.0` and `mlp.2`.
        mlp: [Linear; 2],
        /// What the level is multiplied by.
        scale: f64,
    },
}

impl NoiseEmbedder {
    /// `[batch]` levels to `[batch, hidden_size]`, in the kind of the parameters.
    pub fn forward(&self, noise: &Tensor) -> Tensor {
        match self {
            NoiseEmbedder::SinCos(embedder) => embedder.forward(noise),
            NoiseEmbedder::FlowTime(embedder) => embedder.forward(noise),
            NoiseEmbedder::Timestep { mlp: [first, second], scale } => {
                let bank = timestep_embedding(&(noise * *scale), FREQUENCIES, 10_000.0);
                let bank = bank.to_kind(first.weight.kind());
                second.forward(&first.forward(&bank).silu())
            }
        }
    }

    /// Its linear layers, for networks that initialise them anew.
    pub(crate) fn linears(&self) -> Vec<&Linear> {
        match self {
            NoiseEmbedder::SinCos(embedder) => embedder.linears().into(),
            NoiseEmbedder::FlowTime(embedder) => embedder.linears().into(),
            NoiseEmbedder::Timestep { mlp, .. } => mlp.each_ref().into(),
        }
    }
}
