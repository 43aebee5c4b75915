//! The ways between resolutions.

use tch::Tensor;
use tweedie_torch::Result;
use tweedie_torch::frozen::Conv2d;
use tweedie_torch::parameters::{Conv2dConfig, Scope};

/// A convolution of stride 2 (diffusers' `Downsample2D`).
#[derive(Debug)]
pub(crate) struct Downsample {
    conv: Conv2d,
    one_sided: bool,
}

impl Downsample {
    /// `padding` 1 on each side, or 0: then a row and a column of zeros at the right and below.
    pub(crate) fn new(p: &mut Scope<'_>, channels: i64, padding: i64) -> Result<Self> {
        let halving = Conv2dConfig { stride: 2, padding, ..Default::default() };
        let conv = Conv2d::new(&mut p.sub("conv"), channels, channels, halving)?;
        Ok(Downsample { conv, one_sided: padding == 0 })
    }

    /// Half the height and width.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self.one_sided {
            true => self.conv.forward(&x.f_constant_pad_nd([0, 1, 0, 1])?),
            false => self.conv.forward(x),
        }
    }
}

/// Every pixel several times, then a convolution (diffusers' `Upsample2D`).
#[derive(Debug)]
pub(crate) struct Upsample {
    conv: Conv2d,
}

impl Upsample {
    /// Makes its parameters at `p`.
    pub(crate) fn new(p: &mut Scope<'_>, channels: i64) -> Result<Self> {
        let three = Conv2dConfig::default();
        Ok(Upsample { conv: Conv2d::new(&mut p.sub("conv"), channels, channels, three)? })
    }

    /// To `size`, `[height, width]`.
    pub(crate) fn forward(&self, x: &Tensor, size: [i64; 2]) -> Result<Tensor> {
        self.conv.forward(&x.f_upsample_nearest2d(size, None, None)?)
    }
}
