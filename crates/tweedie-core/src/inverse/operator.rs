//! Linear measurements.

use crate::{Error, Result};
use tch::{Kind, Tensor};
use tweedie_torch::tensor;

/// A linear map `A` from data to measurements, sample by sample, and what inference needs of it.
pub trait LinearOperator {
    /// `A·x0`.
    fn apply(&self, x0: &Tensor) -> Result<Tensor>;

    /// `Aᵀ·y`.
    fn transpose(&self, y: &Tensor) -> Result<Tensor>;

    /// `A⁺·y`, the pseudo-inverse: the smallest data whose measurement is nearest to `y`.
    fn pseudo_inverse(&self, y: &Tensor) -> Result<Tensor>;

    /// `(a·AAᵀ + b)⁻¹·y` on the range of `A`, for `a, b >= 0` of which one at least is above 0.
    fn solve(&self, y: &Tensor, a: f64, b: f64) -> Result<Tensor>;
}

/// A linear map whose singular value decomposition `A = U·Σ·Vᵀ` is known.
pub trait Spectral: LinearOperator {
    /// `V·f(Σ)·Vᵀ·x`: each right-singular direction of `x`, data, times `f` of its singular value,
    /// which is 0 for what is not measured.
    fn spectral(&self, x: &Tensor, f: &dyn Fn(f64) -> f64) -> Result<Tensor>;
}

/// [`Spectral::spectral`] of a map whose singular values are 0 and `s`; `seen` is `A⁺·A·x`.
fn two_values(x: &Tensor, seen: &Tensor, s: f64, f: &dyn Fn(f64) -> f64) -> Tensor {
    x * f(0.0) + seen * (f(s) - f(0.0))
}

/// Some elements are seen, the others not: inpainting. Measurements have the data's shape, with 0
/// where nothing was seen.
#[derive(Debug)]
pub struct Mask(Tensor);

impl Mask {
    /// 1 (or true) where seen; any shape that broadcasts to the data's.
    ///
    /// # Errors
    /// For other numbers than 0 and 1.
    pub fn new(seen: &Tensor) -> Result<Self> {
        let seen = seen.to_kind(Kind::Double);
        let odd = seen.not_equal(0.0).logical_and(&seen.not_equal(1.0));
        match odd.any().int64_value(&[]) {
            0 => Ok(Mask(seen)),
            _ => Err(Error::invalid("a mask", "neither 0 nor 1 somewhere", "zeros and ones")),
        }
    }

    fn on(&self, t: &Tensor) -> Result<Tensor> {
        let (size, mask) = (t.size(), self.0.size());
        let fits = mask.len() <= size.len()
            && mask.iter().rev().zip(size.iter().rev()).all(|(m, s)| *m == 1 || m == s);
        if !fits {
            return Err(Error::shape("the data under a mask", format!("… {mask:?}"), &size));
        }
        Ok(t * self.0.to_device(t.device()).to_kind(t.kind()))
    }
}

impl LinearOperator for Mask {
    fn apply(&self, x0: &Tensor) -> Result<Tensor> {
        self.on(x0)
    }

    fn transpose(&self, y: &Tensor) -> Result<Tensor> {
        self.on(y)
    }

    fn pseudo_inverse(&self, y: &Tensor) -> Result<Tensor> {
        self.on(y)
    }

    fn solve(&self, y: &Tensor, a: f64, b: f64) -> Result<Tensor> {
        Ok(self.on(y)? / (a + b))
    }
}

impl Spectral for Mask {
    fn spectral(&self, x: &Tensor, f: &dyn Fn(f64) -> f64) -> Result<Tensor> {
        Ok(two_values(x, &self.on(x)?, 1.0, f))
    }
}

impl Clone for Mask {
    fn clone(&self) -> Self {
        Mask(self.0.shallow_clone())
    }
}

/// The mean over squares of `factor × factor` pixels: super-resolution. Data are
/// `[batch, channels, height, width]` with sides that `factor` divides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AveragePool {
    factor: i64,
}

impl AveragePool {
    /// The side of the squares.
    ///
    /// # Errors
    /// Below 1.
    pub fn new(factor: i64) -> Result<Self> {
        if factor < 1 {
            return Err(Error::invalid("the factor of a pool", factor, "at least 1"));
        }
        Ok(AveragePool { factor })
    }
}

impl LinearOperator for AveragePool {
    fn apply(&self, x0: &Tensor) -> Result<Tensor> {
        let (size, f) = (x0.size(), self.factor);
        match size[..] {
            [_, _, h, w] if h % f == 0 && w % f == 0 => {
                Ok(x0.avg_pool2d([f, f], [f, f], [0, 0], false, true, None))
            }
            _ => Err(Error::shape("data", format!("[b, c, h, w], sides divisible by {f}"), &size)),
        }
    }

    fn transpose(&self, y: &Tensor) -> Result<Tensor> {
        Ok(self.pseudo_inverse(y)? / (self.factor * self.factor) as f64)
    }

    /// Every pixel of a square is its mean.
    fn pseudo_inverse(&self, y: &Tensor) -> Result<Tensor> {
        if y.dim() != 4 {
            return Err(Error::shape("measurements", "[b, c, h, w]", &y.size()));
        }
        let wide = y.repeat_interleave_self_int(self.factor, 3, None);
        Ok(wide.repeat_interleave_self_int(self.factor, 2, None))
    }

    fn solve(&self, y: &Tensor, a: f64, b: f64) -> Result<Tensor> {
        Ok(y / (a / (self.factor * self.factor) as f64 + b)) // AAᵀ = 1/factor²
    }
}

impl Spectral for AveragePool {
    fn spectral(&self, x: &Tensor, f: &dyn Fn(f64) -> f64) -> Result<Tensor> {
        let seen = self.pseudo_inverse(&self.apply(x)?)?;
        Ok(two_values(x, &seen, 1.0 / self.factor as f64, f))
    }
}

/// Convolution with a kernel around the edges (circular): deblurring. Data are `[…, height, width]`.
#[derive(Debug)]
pub struct Blur {
    spectrum: Tensor,
    power: Tensor,
    size: [i64; 2],
}

/// Frequencies that come through with less than this share of the strongest are lost.
const LOST: f64 = 1e-6;

impl Blur {
    /// `kernel` is `[kh, kw]` with its centre at `[kh/2, kw/2]`; `size` is the data's
    /// `[height, width]`.
    ///
    /// # Errors
    /// Unless the kernel is a finite matrix, not all zero, that fits into the data.
    pub fn new(kernel: &Tensor, size: [i64; 2]) -> Result<Self> {
        let shape = kernel.size();
        let [kh, kw] = shape[..] else {
            return Err(Error::shape("a blur's kernel", "[kh, kw]", &shape));
        };
        if kh < 1 || kw < 1 || kh > size[0] || kw > size[1] {
            return Err(Error::shape("a blur's kernel", format!("at most {size:?}"), &shape));
        }
        let kernel = kernel.to_kind(Kind::Double);
        let most = kernel.abs().sum(Kind::Double).double_value(&[]);
        if !(most > 0.0 && most.is_finite()) {
            return Err(Error::invalid("a blur's kernel", most, "finite numbers, not all zero"));
        }
        let padded = kernel.constant_pad_nd([0, size[1] - kw, 0, size[0] - kh]);
        let spectrum = padded.roll([-(kh / 2), -(kw / 2)], [0, 1]).fft_rfft2(
            None::<&[i64]>,
            [0, 1],
            "backward",
        );
        let power = spectrum.abs().square();
        Ok(Blur { spectrum, power, size })
    }

    /// Multiplies the Fourier transform of `t` by `filter`.
    fn filtered(&self, t: &Tensor, filter: &Tensor) -> Result<Tensor> {
        let size = t.size();
        if size.len() < 2 || size[size.len() - 2..] != self.size {
            return Err(Error::shape(
                "data",
                format!("[…, {}, {}]", self.size[0], self.size[1]),
                &size,
            ));
        }
        let kind = if t.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        let complex = match (filter.is_complex(), kind) {
            (true, Kind::Double) => Kind::ComplexDouble,
            (true, _) => Kind::ComplexFloat,
            (false, kind) => kind,
        };
        let spectrum = t.to_kind(kind).fft_rfft2(None::<&[i64]>, [-2, -1], "backward");
        let filtered = spectrum * filter.to_device(t.device()).to_kind(complex);
        Ok(filtered.fft_irfft2(&self.size[..], [-2, -1], "backward").to_kind(t.kind()))
    }
}

impl LinearOperator for Blur {
    fn apply(&self, x0: &Tensor) -> Result<Tensor> {
        self.filtered(x0, &self.spectrum)
    }

    fn transpose(&self, y: &Tensor) -> Result<Tensor> {
        self.filtered(y, &self.spectrum.conj_physical())
    }

    /// Frequencies that the blur leaves less than 1e-6 of count as lost.
    fn pseudo_inverse(&self, y: &Tensor) -> Result<Tensor> {
        let kept = self.power.gt_tensor(&(self.power.max() * LOST.powi(2)));
        let inverse =
            self.spectrum.conj_physical() / self.power.where_self(&kept, &self.power.ones_like());
        self.filtered(y, &(inverse * kept.to_kind(Kind::Double)))
    }

    fn solve(&self, y: &Tensor, a: f64, b: f64) -> Result<Tensor> {
        let total = &self.power * a + b;
        let kept = total.gt_tensor(&(total.max() * LOST.powi(2)));
        let inverse = total.where_self(&kept, &total.ones_like()).reciprocal();
        self.filtered(y, &(inverse * kept.to_kind(Kind::Double)))
    }
}

impl Spectral for Blur {
    /// Frequencies that count as lost have the singular value 0.
    fn spectral(&self, x: &Tensor, f: &dyn Fn(f64) -> f64) -> Result<Tensor> {
        let sizes = self.spectrum.abs();
        let lost = f64::try_from(sizes.max()).map_err(tweedie_torch::Error::from)? * LOST;
        let values = tensor::to_f64(&sizes)?;
        let filter: Vec<f64> =
            values.into_iter().map(|s| f(if s > lost { s } else { 0.0 })).collect();
        self.filtered(x, &tensor::from_f64(&filter, &sizes.size())?)
    }
}

impl Clone for Blur {
    fn clone(&self) -> Self {
        let (spectrum, power) = (self.spectrum.shallow_clone(), self.power.shallow_clone());
        Blur { spectrum, power, size: self.size }
    }
}
