//! What the UNet is told of the time, and SDXL's of sizes and the pooled prompt.

use super::UnetConfig;
use crate::{Error, Result};
use tch::{Kind, Tensor};
use tweedie_torch::parameters::{Linear, Scope, like};

/// Sinusoids of a time (diffusers' `Timesteps`): `[n]` to `[n, dim]`, in single precision.
#[derive(Clone, Copy, Debug)]
struct Sinusoids {
    dim: i64,
    cosines_first: bool,
    shift: f64,
}

impl Sinusoids {
    fn of(self, t: &Tensor) -> tweedie_torch::Result<Tensor> {
        let half = self.dim / 2;
        let index = Tensor::f_arange(half, (Kind::Float, t.device()))?;
        let exponent = -10_000_f64.ln() / (half as f64 - self.shift);
        let frequencies = index.f_mul_scalar(exponent)?.f_exp()?;
        let angles = t.f_to_kind(Kind::Float)?.f_unsqueeze(1)?.f_mul(&frequencies)?;
        let (sin, cos) = (angles.f_sin()?, angles.f_cos()?);
        let both = if self.cosines_first { [cos, sin] } else { [sin, cos] };
        Ok(Tensor::f_cat(&both, 1)?)
    }
}

/// Two linear layers with SiLU between (diffusers' `TimestepEmbedding`).
#[derive(Debug)]
struct Mlp {
    first: Linear,
    second: Linear,
}

impl Mlp {
    fn new(p: &mut Scope<'_>, inputs: i64, outputs: i64) -> tweedie_torch::Result<Self> {
        Ok(Mlp {
            first: Linear::new(&mut p.sub("linear_1"), inputs, outputs, true)?,
            second: Linear::new(&mut p.sub("linear_2"), outputs, outputs, true)?,
        })
    }

    fn forward(&self, x: &Tensor) -> tweedie_torch::Result<Tensor> {
        Ok(self.second.forward(&self.first.forward(&like(x, &self.first.weight)).f_silu()?))
    }
}

/// The embedding of everything that is one number or vector a sample.
#[derive(Debug)]
pub(super) struct Embedding {
    time: Sinusoids,
    time_mlp: Mlp,
    guidance: Option<Linear>,
    added: Option<(Sinusoids, i64, Mlp)>,
}

impl Embedding {
    /// The width of the embedding.
    pub(super) fn width(config: &UnetConfig) -> i64 {
        4 * config.block_out_channels[0]
    }

    pub(super) fn new(p: &mut Scope<'_>, config: &UnetConfig) -> tweedie_torch::Result<Self> {
        let (dim, width) = (config.block_out_channels[0], Self::width(config));
        let bank = |dim| Sinusoids {
            dim,
            cosines_first: config.flip_sin_to_cos,
            shift: config.freq_shift,
        };
        let mut mlp = p.sub("time_embedding");
        let guidance = match config.time_cond_proj_dim {
            Some(n) => Some(Linear::new(&mut mlp.sub("cond_proj"), n, dim, false)?),
            None => None,
        };
        let time_mlp = Mlp::new(&mut mlp, dim, width)?;
        let added = match config.added {
            Some(a) => {
                let mlp = Mlp::new(&mut p.sub("add_embedding"), a.input_dim, width)?;
                Some((bank(a.time_dim), a.input_dim, mlp))
            }
            None => None,
        };
        Ok(Embedding { time: bank(dim), time_mlp, guidance, added })
    }

    /// SiLU of the embedding, `[batch, width]`.
    pub(super) fn forward(
        &self,
        t: &Tensor,
        vector: Option<&Tensor>,
        guidance: Option<f64>,
    ) -> Result<Tensor> {
        let mut bank = self.time.of(t)?;
        if let (Some(layer), Some(scale)) = (&self.guidance, guidance) {
            let sinusoids = guidance_embedding(scale, layer.weight.size()[1], t)?;
            bank = layer
                .forward(&like(&sinusoids, &layer.weight))
                .f_add(&like(&bank, &layer.weight))?;
        }
        let mut emb = self.time_mlp.forward(&bank)?;
        match (&self.added, vector) {
            (Some(added), Some(vector)) => emb = emb.f_add(&embed_added(added, vector)?)?,
            (Some((_, width, _)), None) => {
                return Err(Error::invalid(
                    "the condition's vector",
                    "missing",
                    format!("a pooled prompt and sizes, {width} numbers in all"),
                ));
            }
            (None, _) => {}
        }
        Ok(emb.f_silu()?)
    }
}

/// `vector` is `[batch, pooled + n]`: the pooled prompt and `n` numbers, which become sinusoids.
fn embed_added((bank, input, mlp): &(Sinusoids, i64, Mlp), vector: &Tensor) -> Result<Tensor> {
    let size = vector.size();
    let &[batch, width] = &size[..] else {
        return Err(Error::shape("the condition's vector", "[batch, width]", &size));
    };
    let numbers = (input - width) / (bank.dim - 1);
    let pooled = width - numbers;
    if numbers < 0 || pooled < 0 || pooled + numbers * bank.dim != *input {
        let expected = format!("[batch, pooled + n] with pooled + {}·n = {input}", bank.dim);
        return Err(Error::shape("the condition's vector", expected, &size));
    }
    let sinusoids = bank.of(&vector.f_narrow(1, pooled, numbers)?.f_reshape([-1])?)?;
    let all =
        [vector.f_narrow(1, 0, pooled)?.f_to_kind(Kind::Float)?, sinusoids.f_view([batch, -1])?];
    Ok(mlp.forward(&Tensor::f_cat(&all, 1)?)?)
}

/// A guidance scale as sinusoids, for models that have it built in (Meng et al., arXiv:2210.03142;
/// diffusers' `get_guidance_scale_embedding`): `[batch of t, dim]`.
fn guidance_embedding(scale: f64, dim: i64, t: &Tensor) -> tweedie_torch::Result<Tensor> {
    let half = dim / 2;
    let index = Tensor::f_arange(half, (Kind::Float, t.device()))?;
    let frequencies = index.f_mul_scalar(-10_000_f64.ln() / (half as f64 - 1.0))?.f_exp()?;
    let angles = frequencies.f_mul_scalar((scale - 1.0) * 1000.0)?.f_unsqueeze(0)?;
    let bank = Tensor::f_cat(&[angles.f_sin()?, angles.f_cos()?], 1)?;
    Ok(bank.f_expand([t.size()[0], -1], false)?)
}
