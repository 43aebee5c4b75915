//! A network whose attention is the identity in some layers, to be guided away from.

use crate::{Error, Result};
use tch::Tensor;
use tweedie_core::{Cond, Network, NoiseInput};

/// A network with layers of self-attention that can be made the identity, one by one.
pub trait SelfAttention: Network + std::fmt::Debug {
    /// The layers by their parameters' names, in the order of the pass: `mid.1`, `blocks.3`.
    fn attention_layers(&self) -> Vec<String>;

    /// [`Network::forward`] where tokens attend to themselves alone in these layers, given by their
    /// places in [`attention_layers`](Self::attention_layers); other numbers mean nothing.
    fn forward_identity(
        &self,
        x: &Tensor,
        noise: &Tensor,
        cond: Option<&Cond>,
        layers: &[usize],
    ) -> tweedie_core::Result<Tensor>;
}

/// The same network with the identity for its attention map in some layers: the weak one of
/// perturbed-attention guidance (arXiv:2403.17377), for
/// [`Guidance::perturbed`](tweedie_core::Guidance::perturbed). It shares the weights.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// use tweedie_core::{Denoiser, Guidance, Model, NoiseLevel, Parametrization};
/// use tweedie_models::{IdentityAttention, unet::{Unet, UnetConfig}};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (ch, attn_resolutions) = (32, vec![4]);
/// let config = UnetConfig { image_size: 8, ch, ch_mult: vec![1, 1], attn_resolutions, ..Default::default() };
/// let unet = Unet::new(&config, 0, Kind::Float, Device::Cpu)?;
/// let strong = Model::new(&unet, Parametrization::default())?;
/// let weak = Model::new(IdentityAttention::new(&unet, &["mid"])?, Parametrization::default())?;
/// let x = Tensor::zeros([1, 3, 8, 8], (Kind::Float, Device::Cpu));
/// let x0 = Guidance::perturbed(strong, weak, 3.0).denoise(&x, NoiseLevel::ve(1.0))?;
/// assert_eq!(x0.size(), [1, 3, 8, 8]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct IdentityAttention<'a> {
    network: &'a dyn SelfAttention,
    layers: Vec<usize>,
}

impl<'a> IdentityAttention<'a> {
    /// In the layers of these names, and in all whose name begins with one of them and a dot: `mid` is
    /// the middle of a U-Net (the paper's choice), `blocks.7` a block of a transformer, `ups` all
    /// attention on the way up.
    ///
    /// # Errors
    /// For a name that no layer has; the error lists those that there are.
    pub fn new(network: &'a dyn SelfAttention, names: &[&str]) -> Result<Self> {
        let there = network.attention_layers();
        let is = |layer: &str, name: &str| {
            layer.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if let Some(unknown) = names.iter().find(|name| !there.iter().any(|l| is(l, name))) {
            let expected = format!("one of {}, or what one begins with", there.join(", "));
            return Err(Error::from(tweedie_core::Error::invalid(
                "a layer of attention",
                unknown,
                expected,
            )));
        }
        let named = |(i, layer): (usize, &String)| names.iter().any(|n| is(layer, n)).then_some(i);
        let layers = there.iter().enumerate().filter_map(named).collect();
        Ok(IdentityAttention { network, layers })
    }
}

impl Network for IdentityAttention<'_> {
    fn forward(
        &self,
        x: &Tensor,
        noise: &Tensor,
        cond: Option<&Cond>,
    ) -> tweedie_core::Result<Tensor> {
        self.network.forward_identity(x, noise, cond, &self.layers)
    }

    fn null_cond(&self, batch: i64) -> Option<Cond> {
        self.network.null_cond(batch)
    }

    fn takes(&self, noise: NoiseInput) -> bool {
        self.network.takes(noise)
    }
}
