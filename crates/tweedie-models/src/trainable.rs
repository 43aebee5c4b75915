//! What a training loop needs of a network beyond [`Network`].

use crate::{ModelSpec, SelfAttention};
use tch::{Kind, Tensor};
use tweedie_core::{Cond, Network, Result};
use tweedie_torch::autograd::vjp;
use tweedie_torch::parameters::Parameters;
use tweedie_torch::rng::Generator;
use tweedie_torch::weights::StateDict;

/// From a network's output, `[batch, …]`, to a loss (one number) and the loss's gradient with
/// respect to the output, in its shape. It is called without autograd.
pub type Loss<'a> = dyn FnMut(&Tensor) -> Result<(Tensor, Tensor)> + 'a;

/// A loss and its gradients.
#[derive(Debug)]
pub struct Gradients {
    /// The loss, one number, on the network's device: reading it waits for the device.
    pub loss: Tensor,
    /// A gradient for each parameter, in the order of [`Trainable::parameters`].
    pub gradients: Vec<Tensor>,
}

/// A network that can be trained.
pub trait Trainable: Network + Send + std::fmt::Debug {
    /// Its parameters, in the order in which they were made.
    fn parameters(&self) -> &Parameters;

    /// The settings that build it again.
    fn spec(&self) -> ModelSpec;

    /// Computes in `kind` from now on; parameters stay as they are, and so does the kind of what
    /// goes in and comes out. Networks that are too small to gain by it don't listen.
    fn compute_in(&mut self, kind: Kind) {
        let _ = kind;
    }

    /// Whether training keeps only what lies between the network's blocks, and computes what is
    /// within them again on the way back (arXiv:1604.06174): less memory, one forward pass more a
    /// step, the same gradients up to rounding. Off at first. It is a setting of training, not of the
    /// weights. Networks that are too small to gain by it don't listen.
    fn checkpoint_activations(&mut self, on: bool) {
        let _ = on;
    }

    /// Its attention of tokens to each other, where it has any.
    fn self_attention(&self) -> Option<&dyn SelfAttention> {
        None
    }

    /// The kind that it computes in.
    fn compute_kind(&self) -> Kind {
        self.parameters().kind()
    }

    /// Takes out of a state dict what other libraries save and this network computes.
    fn adapt(&self, dict: &mut StateDict) {
        let _ = dict;
    }

    /// [`Network::forward`] as in training: labels drop out. What is random is drawn from `rng`
    /// alone, in an order that depends on nothing but the shapes.
    fn forward_train(
        &self,
        x: &Tensor,
        noise: &Tensor,
        cond: Option<&Cond>,
        rng: &mut Generator,
    ) -> Result<Tensor> {
        let _ = rng;
        self.forward(x, noise, cond)
    }

    /// Forward as in training, loss, and backward. Through autograd, unless a network knows a
    /// shorter way; the gradients are the same up to rounding. Call it with autograd on.
    ///
    /// # Errors
    /// If an input does not fit, `loss` fails, or its gradient has not the output's shape.
    fn gradients(
        &self,
        x: &Tensor,
        noise: &Tensor,
        cond: Option<&Cond>,
        rng: &mut Generator,
        loss: &mut Loss<'_>,
    ) -> Result<Gradients> {
        let output = self.forward_train(x, noise, cond, rng)?;
        backward(&output, self.parameters(), loss)
    }
}

/// The loss of an output that has a graph, and the way back through it.
pub(crate) fn backward(
    output: &Tensor,
    parameters: &Parameters,
    loss: &mut Loss<'_>,
) -> Result<Gradients> {
    let (loss, cotangent) = {
        let _guard = tch::no_grad_guard();
        loss(&output.detach())?
    };
    let parameters: Vec<&Tensor> = parameters.tensors().collect();
    let gradients = vjp(output, &cotangent, &parameters)?;
    Ok(Gradients { loss, gradients })
}
