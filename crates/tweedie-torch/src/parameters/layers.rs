//! The plain layers, initialised as PyTorch does it.
//!
//! Weights follow the activations: a layer computes in the kind of what comes in, so a network
//! whose input is `BFloat16` computes in that, from parameters that stay as precise as they are.

use super::{Init, Scope};
use crate::{Error, Result, ops};
use tch::Tensor;

/// A parameter in the kind of `x`: itself, if it has that kind already.
pub fn like(parameter: &Tensor, x: &Tensor) -> Tensor {
    match parameter.kind() == x.kind() {
        true => parameter.shallow_clone(),
        false => parameter.to_kind(x.kind()),
    }
}

fn like_option(parameter: Option<&Tensor>, x: &Tensor) -> Option<Tensor> {
    parameter.map(|p| like(p, x))
}

fn positive(what: &'static str, sizes: &[i64]) -> Result<()> {
    match sizes.iter().all(|&s| s > 0) {
        true => Ok(()),
        false => Err(Error::invalid(what, format!("{sizes:?}"), "positive numbers")),
    }
}

/// `x·weightᵀ + bias`: PyTorch's `nn.Linear`, initialised as it is.
#[derive(Debug)]
pub struct Linear {
    /// `[out, in]`
    pub weight: Tensor,
    /// `[out]`
    pub bias: Option<Tensor>,
}

impl Linear {
    /// Makes `weight` and, if wanted, `bias` at `scope`.
    pub fn new(scope: &mut Scope<'_>, inputs: i64, outputs: i64, bias: bool) -> Result<Self> {
        positive("a layer's width", &[inputs, outputs])?;
        let bound = Init::Uniform(1.0 / (inputs as f64).sqrt());
        let weight = scope.tensor("weight", &[outputs, inputs], bound)?;
        let bias = if bias { Some(scope.tensor("bias", &[outputs], bound)?) } else { None };
        Ok(Linear { weight, bias })
    }

    /// `[…, in]` to `[…, out]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&like(&self.weight, x), like_option(self.bias.as_ref(), x).as_ref())
    }
}

/// A row of numbers for each label: PyTorch's `nn.Embedding`, initialised as it is.
#[derive(Debug)]
pub struct Embedding {
    /// `[labels, dim]`
    pub weight: Tensor,
}

impl Embedding {
    /// Makes `weight` at `scope`.
    pub fn new(scope: &mut Scope<'_>, labels: i64, dim: i64) -> Result<Self> {
        positive("an embedding", &[labels, dim])?;
        Ok(Embedding { weight: scope.tensor("weight", &[labels, dim], Init::Normal(1.0))? })
    }

    /// `[batch]` of 64-bit integers, which must be in range, to `[batch, dim]`.
    pub fn forward(&self, labels: &Tensor) -> Tensor {
        Tensor::embedding(&self.weight, labels, -1, false, false)
    }
}

/// A square convolution: PyTorch's `nn.Conv2d`, initialised as it is.
///
/// The weight lies in memory with its channels last, and with it all that comes out: convolutions
/// of 16 bits are several times faster so, those of 32 a little.
#[derive(Debug)]
pub struct Conv2d {
    /// `[out, in / groups, kernel, kernel]`
    pub weight: Tensor,
    /// `[out]`
    pub bias: Option<Tensor>,
    config: Conv2dConfig,
}

/// The settings of [`Conv2d`]; the defaults are a 3×3 convolution that keeps the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// Height and width of the kernel.
    pub kernel: i64,
    /// Pixels from one output to the next.
    pub stride: i64,
    /// Zeros on each side.
    pub padding: i64,
    /// Groups of channels that do not see each other.
    pub groups: i64,
    /// Whether there is a bias.
    pub bias: bool,
}

impl Default for Conv2dConfig {
    fn default() -> Self {
        Conv2dConfig { kernel: 3, stride: 1, padding: 1, groups: 1, bias: true }
    }
}

impl Conv2d {
    /// Makes `weight` and, if wanted, `bias` at `scope`.
    pub fn new(
        scope: &mut Scope<'_>,
        inputs: i64,
        outputs: i64,
        config: Conv2dConfig,
    ) -> Result<Self> {
        let Conv2dConfig { kernel, stride, padding, groups, bias } = config;
        positive(
            "channels, kernel, stride and groups",
            &[inputs, outputs, kernel, stride, groups],
        )?;
        if padding < 0 {
            return Err(Error::invalid("the padding", padding, "at least 0"));
        }
        if inputs % groups != 0 || outputs % groups != 0 {
            let found = format!("{groups} for {inputs} to {outputs} channels");
            return Err(Error::invalid("the number of groups", found, "a divisor of both"));
        }
        let bound = Init::Uniform(1.0 / ((inputs / groups * kernel * kernel) as f64).sqrt());
        let shape = [outputs, inputs / groups, kernel, kernel];
        let weight = scope.channels_last("weight", &shape, bound)?;
        let bias = if bias { Some(scope.tensor("bias", &[outputs], bound)?) } else { None };
        Ok(Conv2d { weight, bias, config })
    }

    /// `[batch, in, height, width]` to `[batch, out, …]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let Conv2dConfig { stride, padding, groups, .. } = self.config;
        let (stride, padding) = ([stride, stride], [padding, padding]);
        let (weight, bias) = (like(&self.weight, x), like_option(self.bias.as_ref(), x));
        x.conv2d(&weight, bias.as_ref(), stride, padding, [1, 1], groups)
    }
}

/// Mean 0 and variance 1 over the last dimension, then scale and shift: PyTorch's `nn.LayerNorm`.
#[derive(Debug)]
pub struct LayerNorm {
    /// `[width]`
    pub weight: Tensor,
    /// `[width]`
    pub bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Makes `weight` (ones) and `bias` (zeros) at `scope`.
    pub fn new(scope: &mut Scope<'_>, width: i64, eps: f64) -> Result<Self> {
        positive("the width of a norm", &[width])?;
        let weight = scope.tensor("weight", &[width], Init::Ones)?;
        let bias = scope.tensor("bias", &[width], Init::Zeros)?;
        Ok(LayerNorm { weight, bias, eps })
    }

    /// `[…, width]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (like(&self.weight, x), like(&self.bias, x));
        x.layer_norm(weight.size(), Some(&weight), Some(&bias), self.eps, false)
    }
}

/// Mean 0 and variance 1 over groups of channels and all pixels, then scale and shift: PyTorch's
/// `nn.GroupNorm`.
#[derive(Debug)]
pub struct GroupNorm {
    /// `[channels]`
    pub weight: Tensor,
    /// `[channels]`
    pub bias: Tensor,
    groups: i64,
    eps: f64,
}

impl GroupNorm {
    /// Makes `weight` (ones) and `bias` (zeros) at `scope`.
    pub fn new(scope: &mut Scope<'_>, groups: i64, channels: i64, eps: f64) -> Result<Self> {
        positive("groups and channels of a norm", &[groups, channels])?;
        if channels % groups != 0 {
            let found = format!("{groups} for {channels} channels");
            return Err(Error::invalid("the number of groups", found, "a divisor"));
        }
        let weight = scope.tensor("weight", &[channels], Init::Ones)?;
        let bias = scope.tensor("bias", &[channels], Init::Zeros)?;
        Ok(GroupNorm { weight, bias, groups, eps })
    }

    /// Images `[batch, channels, height, width]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_around(x, ops::Around::default())
    }

    /// The same with what comes before and behind it.
    pub fn forward_around(&self, x: &Tensor, around: ops::Around<'_>) -> Result<Tensor> {
        ops::group_norm(x, self.groups, &self.weight, &self.bias, self.eps, around)
    }

    /// [`forward`](Self::forward), times `1 + scale` plus `shift`, then SiLU: both are
    /// `[batch, channels]` (arXiv:2105.05233, §3, "adaptive group normalization").
    pub fn forward_adaptive(&self, x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
        let scale = scale.to_kind(self.weight.kind()) + 1.0;
        let (weight, bias) = (&self.weight * &scale, &self.bias * &scale + shift);
        let around = ops::Around { silu: true, ..Default::default() };
        ops::group_norm(x, self.groups, &weight, &bias, self.eps, around)
    }
}

/// A root mean square of 1 over the last dimension, then scale: PyTorch's `nn.RMSNorm`.
#[derive(Debug)]
pub struct RmsNorm {
    /// `[width]`
    pub weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    /// Makes `weight` (ones) at `scope`.
    pub fn new(scope: &mut Scope<'_>, width: i64, eps: f64) -> Result<Self> {
        positive("the width of a norm", &[width])?;
        Ok(RmsNorm { weight: scope.tensor("weight", &[width], Init::Ones)?, eps })
    }

    /// `[…, width]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let weight = like(&self.weight, x);
        x.rms_norm(weight.size(), Some(&weight), self.eps)
    }
}
