//! A weighting that is learnt: how uncertain the network is at each level.

use crate::objective::Example;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::{SQRT_2, TAU};
use tch::{Device, Kind, Tensor};
use tweedie_core::NoiseLevel;
use tweedie_core::noise::{normals, philox};
use tweedie_torch::tensor;

/// The settings of a learnt weighting (Karras et al., arXiv:2312.02696, section 2.2 and eq. 14–17):
/// with the loss `l` that another weighting gives a sample at `sigma`, the network is trained on
/// `l/exp(u(sigma)) + u(sigma)`. At its minimum `exp(u)` is the mean of `l`, and every level counts
/// alike. `u` is trained along: a linear layer on Fourier features of `ln(sigma/alpha)/4`, which
/// begins as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UncertaintyConfig {
    /// Fourier features.
    pub channels: i64,
}

impl Default for UncertaintyConfig {
    /// The paper's.
    fn default() -> Self {
        UncertaintyConfig { channels: 128 }
    }
}

impl UncertaintyConfig {
    /// That its number makes sense.
    pub fn check(&self) -> Result<()> {
        match (1..=1 << 16).contains(&self.channels) {
            true => Ok(()),
            false => Err(Error::invalid("channels", self.channels, "1 to 65536")),
        }
    }
}

/// The stream of random numbers that features come from.
const FOURIER: u32 = 34;

/// The learnt weighting itself.
#[derive(Debug)]
pub(crate) struct Uncertainty {
    /// `[channels]`: what is trained.
    pub(crate) weight: Tensor,
    /// `[1, channels]`, double precision, on the CPU.
    frequencies: Tensor,
    phases: Tensor,
}

/// A loss and its gradients.
pub(crate) struct Weighed {
    pub(crate) loss: Tensor,
    pub(crate) of_output: Tensor,
    pub(crate) of_weight: Tensor,
}

impl Uncertainty {
    pub(crate) fn new(config: UncertaintyConfig, seed: u64, device: Device) -> Result<Self> {
        config.check()?;
        let n = config.channels as usize;
        let key = |draw| philox::Key { seed, stream: FOURIER, sample: 0, draw };
        let (mut normal, mut uniform) = (vec![0.0; n], vec![0.0; n]);
        normals(key(0), &mut normal);
        philox::uniforms(key(1), &mut uniform);
        let frequencies: Vec<f64> = normal.iter().map(|&z| TAU * f64::from(z)).collect();
        let phases: Vec<f64> = uniform.iter().map(|u| TAU * u).collect();
        let shape = [1, config.channels];
        Ok(Uncertainty {
            weight: Tensor::zeros([config.channels], (Kind::Float, device)),
            frequencies: tensor::from_f64(&frequencies, &shape)?,
            phases: tensor::from_f64(&phases, &shape)?,
        })
    }

    /// What a checkpoint holds of it, beside what the optimiser holds.
    pub(crate) fn state(&self) -> [(&'static str, &Tensor); 3] {
        [
            (Self::NAME, &self.weight),
            ("loss_weighting.frequencies", &self.frequencies),
            ("loss_weighting.phases", &self.phases),
        ]
    }

    /// What the optimiser calls its parameter.
    pub(crate) const NAME: &'static str = "loss_weighting.weight";

    /// `√2 cos(f·c + φ)` for `c = ln(sigma/alpha)/4`: `[batch, channels]`.
    fn features(&self, levels: &[NoiseLevel]) -> tweedie_torch::Result<Tensor> {
        // Pure noise and clean data have no finite logarithm; 10¹⁰ is as good.
        let c = |l: &NoiseLevel| l.ratio().clamp(1e-10, 1e10).ln() / 4.0;
        let c: Vec<f64> = levels.iter().map(c).collect();
        let c = tensor::from_f64(&c, &[levels.len() as i64, 1])?;
        let features = (c * &self.frequencies + &self.phases).cos() * SQRT_2;
        Ok(features.to_kind(Kind::Float).to_device(self.weight.device()))
    }

    /// The loss of a batch whose network answered `output`, in single precision.
    pub(crate) fn loss(
        &self,
        example: &Example,
        output: &Tensor,
    ) -> tweedie_torch::Result<Weighed> {
        let batch = example.levels.len() as i64;
        let each = (output.numel() as i64 / batch.max(1)).max(1);
        let features = self.features(&example.levels)?;
        let u = features.mv(&self.weight);
        let mut error = output.to_kind(Kind::Float) - &example.target;
        let mut square = error.square();
        if let Some(weights) = &example.weights {
            square = square.g_mul_(weights);
            error = error.g_mul_(weights);
        }
        let losses = square.view([batch, each]).mean_dim(1i64, false, Kind::Float);
        let certainty = (-&u).exp();
        let weighed = losses * &certainty;
        let mut column = vec![batch];
        column.resize(output.dim(), 1);
        let factor = certainty.view(column.as_slice()) * (2.0 / (batch * each) as f64);
        let of_u = (1.0 - &weighed) / batch as f64;
        Ok(Weighed {
            loss: (weighed + u).mean(Kind::Float),
            of_output: error.g_mul_(&factor),
            of_weight: features.tr().mv(&of_u),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::autograd;

    fn uncertainty() -> Uncertainty {
        Uncertainty::new(UncertaintyConfig { channels: 16 }, 3, Device::Cpu).unwrap()
    }

    fn example(weighted: bool) -> Example {
        let levels = [0.01, 0.3, 4.0, f64::INFINITY].map(NoiseLevel::vp).to_vec();
        let row = tensor::from_f32(&[1.0, 0.5, 2.0, 3.0], &[4, 1, 1]).unwrap();
        let target = Tensor::linspace(-1.0, 1.0, 4 * 6, tch::kind::FLOAT_CPU).view([4, 2, 3]);
        Example {
            input: target.shallow_clone(),
            noise: Tensor::zeros([4], tch::kind::FLOAT_CPU),
            target,
            weights: weighted.then_some(row),
            levels,
        }
    }

    /// `mean(w·e²/exp(u) + u)` by autograd.
    #[test]
    fn loss_and_gradients_are_those_of_the_formula() {
        for weighted in [false, true] {
            let (mut uncertainty, example) = (uncertainty(), example(weighted));
            uncertainty.weight =
                Tensor::linspace(-0.3, 0.4, 16, tch::kind::FLOAT_CPU).set_requires_grad(true);
            let output = (example.target.flip([0]) * 0.7).detach().set_requires_grad(true);
            let u = uncertainty.features(&example.levels).unwrap().mv(&uncertainty.weight);
            let u = u.view([4, 1, 1]);
            let square = (&output - &example.target).square();
            let square = example.weights.as_ref().map_or(square.shallow_clone(), |w| &square * w);
            let loss = (square / u.exp() + &u).mean(Kind::Float);
            let expected = autograd::grad(&loss, &[&output, &uncertainty.weight]).unwrap();
            let _guard = tch::no_grad_guard();
            let found = uncertainty.loss(&example, &output).unwrap();
            let close = |a: &Tensor, b: &Tensor| {
                let off = f64::try_from((a - b).abs().max()).unwrap();
                assert!(off < 1e-6, "{off}"); // single precision, numbers of about 1
            };
            close(&found.loss, &loss);
            close(&found.of_output, &expected[0]);
            close(&found.of_weight, &expected[1]);
        }
    }

    /// Before it has learnt anything, it changes nothing.
    #[test]
    fn it_begins_as_the_other_weighting() {
        let (example, output) = (example(true), Tensor::ones([4, 2, 3], tch::kind::FLOAT_CPU));
        let weighed = uncertainty().loss(&example, &output).unwrap();
        let (loss, gradient) = example.loss(&output);
        assert!(weighed.loss.allclose(&loss, 1e-6, 0.0, false));
        assert!(weighed.of_output.allclose(&gradient, 1e-6, 0.0, false));
    }

    /// At the minimum `exp(u)` is the mean loss of the level.
    #[test]
    fn it_finds_the_loss_of_each_level() {
        let (uncertainty, example) = (uncertainty(), example(false));
        let output = &example.target + tensor::from_f32(&[0.1, 0.5, 1.0, 2.0], &[4, 1, 1]).unwrap();
        for _ in 0..20_000 {
            let gradient = uncertainty.loss(&example, &output).unwrap().of_weight;
            let _ = uncertainty.weight.shallow_clone().g_sub_(&(gradient * 0.05));
        }
        let u = uncertainty.features(&example.levels).unwrap().mv(&uncertainty.weight);
        let found = tensor::to_f32(&u.exp()).unwrap();
        for (found, expected) in found.iter().zip([0.01, 0.25, 1.0, 4.0]) {
            assert!((found / expected - 1.0).abs() < 0.05, "{found} for {expected}");
        }
    }
}
