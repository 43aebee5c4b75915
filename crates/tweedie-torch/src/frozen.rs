//! Layers that only infer: their weights are laid out once as the processor wants them.
//!
//! oneDNN computes with weights in blocks of its own, and libtorch's plain convolutions and products
//! make these at every call. For few pixels that takes longer than the product itself: a convolution
//! of 1280 channels over 4 × 4 pixels five times as long (docs/benchmarks.md). Here it is done at the
//! first call, and the plain weights are let go. Where libtorch cannot, the plain layer is used.
#![allow(unsafe_code)]

use crate::low_rank::{self, LowRank};
use crate::parameters::{Conv2dConfig, Init, Scope, like};
use crate::{Error, Result, ffi};
use std::cell::{OnceCell, RefCell};
use tch::Tensor;

/// A weight, as it came and as it is computed with.
#[derive(Debug)]
struct Weight {
    plain: RefCell<Option<Tensor>>,
    /// `None` inside where nothing better is known than the plain one.
    packed: OnceCell<Option<Tensor>>,
}

impl Weight {
    fn new(plain: Tensor) -> Self {
        Weight { plain: RefCell::new(Some(plain)), packed: OnceCell::new() }
    }

    /// The packed weight, which `pack` makes of the plain one, in the kind of `x`, at the first call.
    fn packed(
        &self,
        x: &Tensor,
        pack: impl FnOnce(&Tensor) -> Result<Option<Tensor>>,
    ) -> Result<Option<&Tensor>> {
        if self.packed.get().is_none() {
            let plain = self.plain()?.f_to_kind(x.kind())?;
            let packed = pack(&plain)?;
            self.plain.replace(packed.is_none().then_some(plain));
            // Nobody else can have set it: the cell is not shared between threads.
            let _ = self.packed.set(packed);
        }
        Ok(self.packed.get().and_then(Option::as_ref))
    }

    fn plain(&self) -> Result<Tensor> {
        let plain = self.plain.borrow().as_ref().map(Tensor::shallow_clone);
        plain.ok_or_else(|| Error::invalid("a layer's weight", "gone", "there until it is packed"))
    }
}

fn raw_option(t: Option<&Tensor>) -> ffi::Raw {
    t.map_or(std::ptr::null_mut(), ffi::raw)
}

/// `x·weightᵀ + bias` that only infers.
#[derive(Debug)]
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
    beside: Vec<LowRank>,
}

impl Linear {
    /// Makes `weight`, `[outputs, inputs]`, and, if wanted, `bias` at `scope`.
    ///
    /// # Errors
    /// If a width is not positive.
    pub fn new(scope: &mut Scope<'_>, inputs: i64, outputs: i64, bias: bool) -> Result<Self> {
        Self::of(scope, &[outputs, inputs], bias)
    }

    /// The same with a weight that is stored as that of a 1×1 convolution, `[outputs, inputs, 1, 1]`.
    ///
    /// # Errors
    /// If a width is not positive.
    pub fn pointwise(scope: &mut Scope<'_>, inputs: i64, outputs: i64) -> Result<Self> {
        Self::of(scope, &[outputs, inputs, 1, 1], true)
    }

    fn of(scope: &mut Scope<'_>, shape: &[i64], bias: bool) -> Result<Self> {
        if shape.iter().any(|&n| n <= 0) {
            return Err(Error::invalid(
                "a layer's width",
                format!("{shape:?}"),
                "positive numbers",
            ));
        }
        let weight = scope.as_stored("weight", shape, Init::Zeros)?.f_flatten(1, -1)?;
        let beside = scope.low_rank("weight")?;
        let bias = if bias { Some(scope.tensor("bias", &shape[..1], Init::Zeros)?) } else { None };
        Ok(Linear { weight: Weight::new(weight), bias, beside })
    }

    /// `[…, inputs]`, in the weight's kind, to `[…, outputs]`.
    ///
    /// # Errors
    /// If the shape does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        low_rank::add(self.product(x)?, &self.beside, |LowRank { down, up, .. }| {
            let none = None::<&Tensor>;
            Ok(x.f_linear(&like(down, x), none)?.f_linear(&like(up, x), none)?)
        })
    }

    fn product(&self, x: &Tensor) -> Result<Tensor> {
        let size = x.size();
        let rows = size[..size.len().saturating_sub(1)].iter().product::<i64>();
        // A few rows are bound by reading the weight, whatever its layout.
        const FEW: i64 = 8;
        let pack = |w: &Tensor| {
            if rows <= FEW {
                return Ok(None);
            }
            // SAFETY: a live tensor.
            ffi::made(|out| unsafe { ffi::tweedie_pack_linear(ffi::raw(w), rows, out) })
        };
        let Some(packed) = self.weight.packed(x, pack)? else {
            let (weight, bias) = (self.weight.plain()?, self.bias.as_ref().map(|b| like(b, x)));
            return Ok(x.f_linear(&like(&weight, x), bias.as_ref())?);
        };
        let (x, bias) = (x.f_contiguous()?, raw_option(self.bias.as_ref()));
        // SAFETY: live tensors; `bias` may be null.
        ffi::made_one(|out| unsafe {
            ffi::tweedie_packed_linear(ffi::raw(&x), ffi::raw(packed), bias, out)
        })
    }
}

/// A square convolution that only infers; what comes out has its channels last in memory.
#[derive(Debug)]
pub struct Conv2d {
    weight: Weight,
    bias: Option<Tensor>,
    config: Conv2dConfig,
    /// `down` is `[rank, inputs, kernel, kernel]`, `up` `[outputs, rank, 1, 1]`.
    beside: Vec<LowRank>,
}

impl Conv2d {
    /// Makes `weight`, `[outputs, inputs / groups, kernel, kernel]`, and, if wanted, `bias` at `scope`.
    ///
    /// # Errors
    /// If a number is not positive, or groups do not divide the channels.
    pub fn new(
        scope: &mut Scope<'_>,
        inputs: i64,
        outputs: i64,
        config: Conv2dConfig,
    ) -> Result<Self> {
        let Conv2dConfig { kernel, stride, padding, groups, bias } = config;
        let numbers = [inputs, outputs, kernel, stride, groups];
        if numbers.iter().any(|&n| n <= 0)
            || padding < 0
            || inputs % groups != 0
            || outputs % groups != 0
        {
            let found = format!("{inputs} to {outputs} channels, {config:?}");
            return Err(Error::invalid(
                "a convolution",
                found,
                "positive numbers, groups that divide",
            ));
        }
        let weight =
            scope.as_stored("weight", &[outputs, inputs / groups, kernel, kernel], Init::Zeros)?;
        let convolution = |LowRank { down, up, scale }: LowRank| -> Result<LowRank> {
            let down = down.f_view([-1, inputs / groups, kernel, kernel])?;
            Ok(LowRank { down, up: up.f_view([outputs, -1, 1, 1])?, scale })
        };
        let beside = scope.low_rank("weight")?.into_iter().map(convolution);
        let beside = beside.collect::<Result<Vec<_>>>()?;
        if groups > 1 && !beside.is_empty() {
            let expected = "of a convolution without groups";
            return Err(Error::invalid("a low-rank term", format!("{config:?}"), expected));
        }
        let bias = if bias { Some(scope.tensor("bias", &[outputs], Init::Zeros)?) } else { None };
        Ok(Conv2d { weight: Weight::new(weight), bias, config, beside })
    }

    /// `[batch, inputs, height, width]`, in the weight's kind, to `[batch, outputs, …]`.
    ///
    /// # Errors
    /// If the shape does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let Conv2dConfig { stride, padding, .. } = self.config;
        low_rank::add(self.convolution(x)?, &self.beside, |LowRank { down, up, .. }| {
            let (stride, padding, none) = ([stride; 2], [padding; 2], None::<&Tensor>);
            let h = x.f_conv2d(&like(down, x), none, stride, padding, [1, 1], 1)?;
            Ok(h.f_conv2d(&like(up, x), none, [1, 1], [0, 0], [1, 1], 1)?)
        })
    }

    fn convolution(&self, x: &Tensor) -> Result<Tensor> {
        let Conv2dConfig { stride, padding, groups, .. } = self.config;
        let input: [i64; 4] = match x.size()[..] {
            [n, c, h, w] => [n, c, h, w],
            ref found => {
                let (what, expected) = ("an image".into(), vec![-1, -1, -1, -1]);
                return Err(Error::Shape { what, expected, found: found.to_vec() });
            }
        };
        let pack = |w: &Tensor| {
            let input = input.as_ptr();
            // SAFETY: a live tensor and four numbers.
            ffi::made(|out| unsafe {
                ffi::tweedie_pack_conv(ffi::raw(w), stride, padding, groups, input, out)
            })
        };
        let Some(packed) = self.weight.packed(x, pack)? else {
            let (weight, bias) = (self.weight.plain()?, self.bias.as_ref().map(|b| like(b, x)));
            let (stride, padding) = ([stride, stride], [padding, padding]);
            return Ok(x.f_conv2d(
                &like(&weight, x),
                bias.as_ref(),
                stride,
                padding,
                [1, 1],
                groups,
            )?);
        };
        let bias = raw_option(self.bias.as_ref());
        // SAFETY: live tensors; `bias` may be null.
        ffi::made_one(|out| unsafe {
            ffi::tweedie_packed_conv(
                ffi::raw(x),
                ffi::raw(packed),
                bias,
                stride,
                padding,
                groups,
                out,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::low_rank::SharedScale;
    use crate::parameters::Parameters;
    use crate::weights::Store;
    use tch::{Device, Kind};

    fn random(shape: &[i64], seed: u64) -> Tensor {
        crate::rng::Generator::new(seed).unwrap().normal(shape, Kind::Float).unwrap()
    }

    fn parameters(shape: &[i64], kind: Kind) -> (Parameters, Tensor, Tensor) {
        let (weight, bias) = (random(shape, 1), random(&shape[..1], 2));
        let mut store = Store::default();
        store.insert("weight", weight.shallow_clone());
        store.insert("bias", bias.shallow_clone());
        (Parameters::stored(store, kind, Device::Cpu), weight, bias)
    }

    /// Sums of 64 and 576 products: single precision leaves 1e-5 of them, bf16 some 1e-2.
    fn close(a: &Tensor, b: &Tensor, kind: Kind) {
        let off = f64::try_from((a.to_kind(Kind::Float) - b).abs().max()).unwrap();
        let size = f64::try_from(b.abs().max()).unwrap();
        assert!(off < size * if kind == Kind::Float { 1e-5 } else { 2e-2 }, "{kind:?}: {off}");
    }

    #[test]
    fn packed_layers_are_the_plain_ones_at_every_size() {
        for kind in [Kind::Float, Kind::BFloat16] {
            let (mut p, weight, bias) = parameters(&[48, 64], kind);
            let linear = Linear::new(&mut p.root(), 64, 48, true).unwrap();
            for rows in [33, 4, 100] {
                let x = random(&[2, rows, 64], 3);
                let y = linear.forward(&x.to_kind(kind)).unwrap();
                close(&y, &x.linear(&weight, Some(&bias)), kind);
            }
            let (mut p, weight, bias) = parameters(&[32, 64, 3, 3], kind);
            let config = Conv2dConfig { stride: 2, ..Conv2dConfig::default() };
            let conv = Conv2d::new(&mut p.root(), 64, 32, config).unwrap();
            for side in [8, 5, 16] {
                let x = random(&[2, 64, side, side + 1], 4);
                let y = conv.forward(&x.to_kind(kind)).unwrap();
                close(&y, &x.conv2d(&weight, Some(&bias), [2, 2], [1, 1], [1, 1], 1), kind);
            }
        }
    }

    /// `y = (W + s·B·A)·x`, and at a scale of 0 exactly `W·x`.
    #[test]
    fn low_rank_terms_lie_beside_the_weight() {
        let scale = SharedScale::new(0.5);
        let beside = |shape: &[i64], inputs: i64| {
            let (down, up) = (random(&[3, inputs], 7), random(&[shape[0], 3], 8));
            let delta = up.matmul(&down).view(shape) * 0.5;
            let term = LowRank { down, up, scale: scale.clone() };
            let mut store = Store::default();
            store.insert("weight", random(shape, 1));
            store.insert("bias", random(&shape[..1], 2));
            store.lay_beside("weight", term);
            (Parameters::stored(store, Kind::Float, Device::Cpu), random(shape, 1) + delta)
        };
        let bias = |n| random(&[n], 2);
        let (mut p, sum) = beside(&[48, 64], 64);
        let linear = Linear::new(&mut p.root(), 64, 48, true).unwrap();
        p.finish(|_| false).unwrap();
        let (mut q, ..) = parameters(&[48, 64], Kind::Float);
        let plain = Linear::new(&mut q.root(), 64, 48, true).unwrap();
        for rows in [20, 2] {
            let x = random(&[rows, 64], 3);
            scale.set(0.5);
            let y = linear.forward(&x).unwrap();
            close(&y, &x.linear(&sum, Some(&bias(48))), Kind::Float);
            scale.set(0.0);
            assert_eq!(linear.forward(&x).unwrap(), plain.forward(&x).unwrap());
        }
        scale.set(0.5);
        let (mut p, sum) = beside(&[32, 16, 3, 3], 144);
        let config = Conv2dConfig { stride: 2, ..Conv2dConfig::default() };
        let conv = Conv2d::new(&mut p.root(), 16, 32, config).unwrap();
        let x = random(&[2, 16, 8, 9], 4);
        let expected = x.conv2d(&sum, Some(&bias(32)), [2, 2], [1, 1], [1, 1], 1);
        close(&conv.forward(&x).unwrap(), &expected, Kind::Float);

        // A layer that knows of no terms must not pass over one.
        let (mut p, _) = beside(&[48, 64], 64);
        crate::parameters::Linear::new(&mut p.root(), 64, 48, true).unwrap();
        let error = p.finish(|_| false).unwrap_err().to_string();
        assert!(error.contains("weight is weight, expected of a layer that takes it"), "{error}");
    }

    #[test]
    fn other_kinds_and_shapes() {
        let (mut p, weight, _) = parameters(&[8, 16], Kind::Float);
        let linear = Linear::new(&mut p.root(), 16, 8, true).unwrap();
        let x = random(&[20, 16], 5).to_kind(Kind::Double);
        assert_eq!(linear.forward(&x).unwrap().kind(), Kind::Double);
        assert!(linear.forward(&random(&[20, 15], 5)).is_err());
        drop(weight);
        let (mut p, ..) = parameters(&[8, 16, 3, 3], Kind::Float);
        let conv = Conv2d::new(&mut p.root(), 16, 8, Conv2dConfig::default()).unwrap();
        assert!(conv.forward(&random(&[2, 15, 4, 4], 6)).is_err());
        assert!(conv.forward(&random(&[16, 4, 4], 6)).is_err());
    }
}
