//! What the UNet and the VAE are both made of, under diffusers' names.

mod attention;
mod merging;
mod resnet;
mod sampling;
mod transformer;

pub(crate) use attention::Attention;
pub(crate) use merging::{Matching, Merging};
pub(crate) use resnet::ResnetBlock;
pub(crate) use sampling::{Downsample, Upsample};
pub(crate) use transformer::{Transformer2d, TransformerConfig};

use tch::Tensor;
use tweedie_torch::frozen::Linear;
use tweedie_torch::parameters::{Conv2dConfig, Scope};

/// A 1×1 convolution.
pub(crate) const ONE: Conv2dConfig =
    Conv2dConfig { kernel: 1, stride: 1, padding: 0, groups: 1, bias: true };

/// `h + x`, in the memory of `h`, which nobody else holds.
pub(crate) fn add(mut h: Tensor, x: &Tensor) -> tweedie_torch::Result<Tensor> {
    Ok(h.f_add_(x)?)
}

/// A linear layer over channels that the file may have as a 1×1 convolution.
pub(crate) fn pointwise(
    p: &mut Scope<'_>,
    inputs: i64,
    outputs: i64,
    convolution: bool,
) -> tweedie_torch::Result<Linear> {
    match convolution {
        true => Linear::pointwise(p, inputs, outputs),
        false => Linear::new(p, inputs, outputs, true),
    }
}

/// Images as tokens: `[batch, channels, height, width]` to `[batch, height·width, channels]`, no copy
/// where the channels lie last.
pub(crate) fn tokens(x: &Tensor) -> tweedie_torch::Result<Tensor> {
    Ok(x.f_flatten(2, 3)?.f_transpose(1, 2)?)
}

/// The way back of [`tokens`], to an image of `size`.
pub(crate) fn image(tokens: &Tensor, size: &[i64]) -> tweedie_torch::Result<Tensor> {
    Ok(tokens.f_transpose(1, 2)?.f_unflatten(2, [size[2], size[3]])?)
}
