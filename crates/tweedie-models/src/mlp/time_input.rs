//! A network of points and a level: smalldiffusion's `TimeInputMLP`.

use super::{Mlp, check_hidden, check_width};
use crate::embed::{SigmaEmbedderSinCos, sin_cos};
use crate::{Gradients, Loss, ModelSpec, Trainable};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};
use tweedie_core::{Cond, Error, Network, NoiseInput, Result};
use tweedie_torch::parameters::Parameters;
use tweedie_torch::rng::Generator;

/// The settings of a [`TimeInputMlp`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimeInputMlpConfig {
    /// The dimension of the data.
    pub dim: i64,
    /// The widths of the hidden layers.
    pub hidden_dims: Vec<i64>,
}

impl Default for TimeInputMlpConfig {
    fn default() -> Self {
        TimeInputMlpConfig { dim: 2, hidden_dims: vec![16, 128, 256, 128, 16] }
    }
}

impl TimeInputMlpConfig {
    /// That the network can be built: an error names the setting.
    pub fn check(&self) -> crate::Result<()> {
        check_width("dim", self.dim)?;
        check_hidden(&self.hidden_dims)
    }
}

/// `[x, sin(ln(sigma)/2), cos(ln(sigma)/2)]` through linear layers with GELU.
#[derive(Debug)]
pub struct TimeInputMlp {
    config: TimeInputMlpConfig,
    parameters: Parameters,
    net: Mlp,
}

impl TimeInputMlp {
    /// A network whose weights are those of `torch.manual_seed(seed); TimeInputMLP(…)`.
    pub fn new(
        config: &TimeInputMlpConfig,
        seed: u64,
        kind: Kind,
        device: Device,
    ) -> crate::Result<Self> {
        config.check()?;
        let mut parameters = Parameters::new(seed, kind, device)?;
        let widths: Vec<i64> = [config.dim + 2]
            .iter()
            .chain(&config.hidden_dims)
            .chain([&config.dim])
            .copied()
            .collect();
        let net = Mlp::new(&mut parameters.root().sub("net"), &widths)?;
        Ok(TimeInputMlp { config: config.clone(), parameters, net })
    }

    fn input(&self, x: &Tensor, noise: &Tensor, cond: Option<&Cond>) -> Result<Tensor> {
        check_points(x, noise, self.config.dim)?;
        if cond.is_some_and(|c| c.class.is_some() || c.context.is_some() || c.vector.is_some()) {
            return Err(Error::Condition("this model was trained without one".into()));
        }
        Ok(net_input(x, noise, None, self.net.kind()))
    }
}

impl Network for TimeInputMlp {
    fn forward(&self, x: &Tensor, noise: &Tensor, cond: Option<&Cond>) -> Result<Tensor> {
        Ok(self.net.forward(&self.input(x, noise, cond)?))
    }

    fn takes(&self, noise: NoiseInput) -> bool {
        noise == NoiseInput::Sigma
    }
}

impl Trainable for TimeInputMlp {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn spec(&self) -> ModelSpec {
        ModelSpec::TimeInputMlp(self.config.clone())
    }

    fn gradients(
        &self,
        x: &Tensor,
        noise: &Tensor,
        cond: Option<&Cond>,
        _: &mut Generator,
        loss: &mut Loss<'_>,
    ) -> Result<Gradients> {
        let _guard = tch::no_grad_guard();
        let (output, tape) = self.net.forward_on_tape(&self.input(x, noise, cond)?);
        let (loss, cotangent) = loss(&output)?;
        check_cotangent(&cotangent, &output)?;
        let (gradients, _) = self.net.backward(tape, &cotangent, false);
        Ok(Gradients { loss, gradients })
    }
}

/// That the loss gave its gradient in the output's shape.
pub(super) fn check_cotangent(cotangent: &Tensor, output: &Tensor) -> Result<()> {
    let (found, expected) = (cotangent.size(), output.size());
    match found == expected {
        true => Ok(()),
        false => Err(Error::shape("the gradient of the loss", format!("{expected:?}"), &found)),
    }
}

/// That `x` is `[batch, dim]` and `noise` is `[batch]`.
pub(super) fn check_points(x: &Tensor, noise: &Tensor, dim: i64) -> Result<()> {
    let size = x.size();
    match size.as_slice() {
        &[_, found] if found == dim => {}
        _ => return Err(Error::shape("x", format!("[batch, {dim}]"), &size)),
    }
    if noise.size() != size[..1] {
        return Err(Error::shape("noise", format!("[{}]", size[0]), &noise.size()));
    }
    Ok(())
}

/// The points, the level as two numbers, and what else there is, side by side.
pub(super) fn net_input(x: &Tensor, noise: &Tensor, class: Option<&Tensor>, kind: Kind) -> Tensor {
    let level = sin_cos(noise, SigmaEmbedderSinCos::FACTOR, true);
    let (x, level) = (x.to_kind(kind), level.to_kind(kind));
    match class {
        None => Tensor::cat(&[x, level], 1),
        Some(class) => Tensor::cat(&[&x, &level, class], 1),
    }
}
