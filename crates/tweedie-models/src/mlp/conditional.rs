//! A network of points, a level and a class: smalldiffusion's `ConditionalMLP`.

use super::time_input::{check_cotangent, check_points, net_input};
use super::{Mlp, check_hidden, check_width};
use crate::embed::ClassEmbedder;
use crate::{Gradients, Loss, ModelSpec, Trainable};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};
use tweedie_core::{Cond, Network, NoiseInput, Result};
use tweedie_torch::autograd::vjp;
use tweedie_torch::parameters::Parameters;
use tweedie_torch::rng::Generator;

/// The settings of a [`ConditionalMlp`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConditionalMlpConfig {
    /// The dimension of the data.
    pub dim: i64,
    /// The widths of the hidden layers.
    pub hidden_dims: Vec<i64>,
    /// The numbers that stand for a class.
    pub cond_dim: i64,
    /// The number of classes, without the null class.
    pub num_classes: i64,
    /// How often a label is replaced by the null class in training, in [0, 1].
    pub dropout_prob: f64,
}

impl Default for ConditionalMlpConfig {
    fn default() -> Self {
        ConditionalMlpConfig {
            dim: 2,
            hidden_dims: vec![16, 128, 256, 128, 16],
            cond_dim: 4,
            num_classes: 10,
            dropout_prob: 0.1,
        }
    }
}

impl ConditionalMlpConfig {
    /// That the network can be built: an error names the setting.
    pub fn check(&self) -> crate::Result<()> {
        check_width("dim", self.dim)?;
        check_hidden(&self.hidden_dims)?;
        check_width("cond_dim", self.cond_dim)?;
        check_width("num_classes", self.num_classes)?;
        if !(0.0..=1.0).contains(&self.dropout_prob) {
            let expected = "a probability, 0 to 1";
            return Err(crate::Error::setting("dropout_prob", self.dropout_prob, expected));
        }
        Ok(())
    }
}

/// `[x, sin(ln(sigma)/2), cos(ln(sigma)/2), class]` through linear layers with GELU.
#[derive(Debug)]
pub struct ConditionalMlp {
    config: ConditionalMlpConfig,
    parameters: Parameters,
    net: Mlp,
    cond_embed: ClassEmbedder,
}

impl ConditionalMlp {
    /// A network whose weights are those of `torch.manual_seed(seed); ConditionalMLP(…)`.
    pub fn new(
        config: &ConditionalMlpConfig,
        seed: u64,
        kind: Kind,
        device: Device,
    ) -> crate::Result<Self> {
        config.check()?;
        let ConditionalMlpConfig { dim, cond_dim, num_classes, dropout_prob, .. } = *config;
        let mut parameters = Parameters::new(seed, kind, device)?;
        let mut widths = vec![dim + cond_dim + 2];
        widths.extend(&config.hidden_dims);
        widths.push(dim);
        let net = Mlp::new(&mut parameters.root().sub("net"), &widths)?;
        let mut scope = parameters.root();
        let cond_embed =
            ClassEmbedder::new(&mut scope.sub("cond_embed"), cond_dim, num_classes, dropout_prob)?;
        Ok(ConditionalMlp { config: config.clone(), parameters, net, cond_embed })
    }

    /// The checked labels for `x`, dropped as in training if there is a generator.
    fn labels(
        &self,
        x: &Tensor,
        noise: &Tensor,
        cond: Option<&Cond>,
        rng: Option<&mut Generator>,
    ) -> Result<Tensor> {
        check_points(x, noise, self.config.dim)?;
        let labels = self.cond_embed.labels(cond, x.size()[0])?;
        match rng {
            Some(rng) => self.cond_embed.drop(&labels, rng),
            None => Ok(labels),
        }
    }

    fn answer(&self, x: &Tensor, noise: &Tensor, labels: &Tensor) -> Tensor {
        let class = self.cond_embed.forward(labels);
        self.net.forward(&net_input(x, noise, Some(&class), self.net.kind()))
    }
}

impl Network for ConditionalMlp {
    fn forward(&self, x: &Tensor, noise: &Tensor, cond: Option<&Cond>) -> Result<Tensor> {
        Ok(self.answer(x, noise, &self.labels(x, noise, cond, None)?))
    }

    fn null_cond(&self, batch: i64) -> Option<Cond> {
        Some(self.cond_embed.null_cond(batch))
    }

    fn takes(&self, noise: NoiseInput) -> bool {
        noise == NoiseInput::Sigma
    }
}

impl Trainable for ConditionalMlp {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn spec(&self) -> ModelSpec {
        ModelSpec::ConditionalMlp(self.config.clone())
    }

    fn forward_train(
        &self,
        x: &Tensor,
        noise: &Tensor,
        cond: Option<&Cond>,
        rng: &mut Generator,
    ) -> Result<Tensor> {
        Ok(self.answer(x, noise, &self.labels(x, noise, cond, Some(rng))?))
    }

    /// The class embedding goes through autograd, the stack behind it does not.
    fn gradients(
        &self,
        x: &Tensor,
        noise: &Tensor,
        cond: Option<&Cond>,
        rng: &mut Generator,
        loss: &mut Loss<'_>,
    ) -> Result<Gradients> {
        let labels = self.labels(x, noise, cond, Some(rng))?;
        let class = self.cond_embed.forward(&labels);
        let input = net_input(x, noise, Some(&class.detach()), self.net.kind());
        let (output, tape) = self.net.forward_on_tape(&input);
        let (loss, cotangent) = {
            let _guard = tch::no_grad_guard();
            loss(&output)?
        };
        check_cotangent(&cotangent, &output)?;
        let (mut gradients, of_input) = self.net.backward(tape, &cotangent, true);
        let cond_dim = self.config.cond_dim;
        let of_class = of_input.unwrap_or_default().narrow(1, -cond_dim, cond_dim);
        let behind: Vec<&Tensor> = self.parameters.tensors().skip(gradients.len()).collect();
        gradients.extend(vjp(&class, &of_class, &behind)?);
        Ok(Gradients { loss, gradients })
    }
}
