//! A network and its parametrisation: a denoiser.

use crate::{
    Coefficients, Cond, Denoiser, Error, NoiseInput, Parametrization, Result,
    blend::blend,
    denoiser::{check_levels, one_by_one},
    guidance::{Guided, InOneBatch},
};
use tch::{Kind, Tensor};
use tweedie_schedules::NoiseLevel;
use tweedie_torch::tensor;

/// A bare network: a noisy batch, what it is told of the level, and a condition, to a prediction.
pub trait Network {
    /// `x` is `[batch, …]`, `noise` is `[batch]` (what the [`NoiseInput`] says) on `x`'s device,
    /// the answer has the shape of `x`.
    fn forward(&self, x: &Tensor, noise: &Tensor, cond: Option<&Cond>) -> Result<Tensor>;

    /// The condition that stands for "none" for `batch` samples, where the network has one.
    fn null_cond(&self, batch: i64) -> Option<Cond> {
        let _ = batch;
        None
    }

    /// Whether it takes a level in this form: a network that takes the logarithm of its input
    /// cannot have one that may be negative.
    fn takes(&self, noise: NoiseInput) -> bool {
        let _ = noise;
        true
    }
}

impl<N: Network + ?Sized> Network for &N {
    fn forward(&self, x: &Tensor, noise: &Tensor, cond: Option<&Cond>) -> Result<Tensor> {
        (**self).forward(x, noise, cond)
    }
    fn null_cond(&self, batch: i64) -> Option<Cond> {
        (**self).null_cond(batch)
    }
    fn takes(&self, noise: NoiseInput) -> bool {
        (**self).takes(noise)
    }
}

impl<N: Network + ?Sized> Network for Box<N> {
    fn forward(&self, x: &Tensor, noise: &Tensor, cond: Option<&Cond>) -> Result<Tensor> {
        (**self).forward(x, noise, cond)
    }
    fn null_cond(&self, batch: i64) -> Option<Cond> {
        (**self).null_cond(batch)
    }
    fn takes(&self, noise: NoiseInput) -> bool {
        (**self).takes(noise)
    }
}

/// A network with its parametrisation. As it is, it denoises without a condition;
/// [`given`](Self::given) and [`guided`](Self::guided) bind one.
#[derive(Clone, Copy, Debug)]
pub struct Model<N> {
    /// The network.
    pub network: N,
    /// What its input and output mean.
    pub parametrization: Parametrization,
}

impl<N: Network> Model<N> {
    /// A network whose parametrisation is checked.
    ///
    /// # Errors
    /// For settings that make no sense, by themselves or for this network.
    pub fn new(network: N, parametrization: Parametrization) -> Result<Self> {
        parametrization.check()?;
        let noise = parametrization.noise_input;
        if !network.takes(noise) {
            let found = format!("{noise:?}");
            return Err(Error::invalid("noise_input", found, "one that this network can take"));
        }
        Ok(Model { network, parametrization })
    }

    /// The denoiser under a condition, which is for as many samples as will be denoised.
    pub fn given<'a>(&'a self, cond: &'a Cond) -> impl Denoiser + 'a {
        Given { model: self, cond }
    }

    /// Classifier-free guidance (arXiv:2207.12598): `uncond + scale·(cond − uncond)`, so scale 1
    /// is no guidance. Both branches run in one batch, and only the one that counts where one does.
    pub fn guided<'a>(&'a self, cond: &'a Cond, null: &'a Cond, scale: f64) -> impl Denoiser + 'a {
        Guided { branches: self.branches(cond, null), scale }
    }

    /// Both branches of a guidance, asked in one batch: what the rules of
    /// [`guidance`](crate::guidance) are made of. `null` is no condition, or a negative one.
    pub fn branches<'a>(&'a self, cond: &'a Cond, null: &'a Cond) -> InOneBatch<'a, N> {
        InOneBatch { model: self, cond, null }
    }

    /// The estimate under `cond`, if there is one.
    pub fn denoise_given(
        &self,
        x: &Tensor,
        level: NoiseLevel,
        cond: Option<&Cond>,
    ) -> Result<Tensor> {
        let size = x.size();
        let Some(&batch) = size.first() else {
            return Err(Error::shape("x", "[batch, …]", &size));
        };
        if level.is_clean() {
            return Ok(x / level.alpha);
        }
        if let Some(cond) = cond {
            cond.check_batch(batch)?;
        }
        let c = self.parametrization.coefficients(level)?;
        let noise = Tensor::full([batch], c.c_noise, (Kind::Float, x.device()));
        let output = match c.c_in == 1.0 {
            true => self.network.forward(x, &noise, cond)?,
            false => self.network.forward(&(x * c.c_in), &noise, cond)?,
        };
        if output.size() != size {
            return Err(Error::shape("the network's output", format!("{size:?}"), &output.size()));
        }
        let output = if output.kind() == x.kind() { output } else { output.to_kind(x.kind()) };
        blend(output, c.c_out, &[(c.c_skip, x)])
    }
}

impl<N: Network> Model<N> {
    /// The estimates for samples at levels of their own, under a condition for as many.
    fn denoise_each_given(
        &self,
        x: &Tensor,
        levels: &[NoiseLevel],
        cond: Option<&Cond>,
    ) -> Result<Tensor> {
        let size = x.size();
        if let Some(cond) = cond {
            cond.check_batch(levels.len() as i64)?;
        }
        let coefficients: Vec<Coefficients> =
            levels.iter().map(|l| self.parametrization.coefficients(*l)).collect::<Result<_>>()?;
        let column = |f: fn(&Coefficients) -> f64, kind: Kind| -> Result<Tensor> {
            let values: Vec<f64> = coefficients.iter().map(f).collect();
            let column = tensor::from_f64(&values, &[values.len() as i64])?;
            Ok(column.to_kind(kind).to_device(x.device()))
        };
        let each = |f| -> Result<Tensor> {
            let shape: Vec<i64> =
                (0..size.len()).map(|i| if i == 0 { size[0] } else { 1 }).collect();
            Ok(column(f, x.kind())?.reshape(&shape[..]))
        };
        let noise = column(|c| c.c_noise, Kind::Float)?;
        let output = self.network.forward(&(x * each(|c| c.c_in)?), &noise, cond)?;
        if output.size() != size {
            return Err(Error::shape("the network's output", format!("{size:?}"), &output.size()));
        }
        Ok(output.to_kind(x.kind()) * each(|c| c.c_out)? + x * each(|c| c.c_skip)?)
    }
}

impl<N: Network> Denoiser for Model<N> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        self.denoise_given(x, level, None)
    }

    fn denoise_each(&self, x: &Tensor, levels: &[NoiseLevel]) -> Result<Tensor> {
        check_levels(x, levels)?;
        match levels.iter().any(|level| level.is_clean()) {
            // Clean samples are not the network's business.
            true => one_by_one(self, x, levels),
            false => self.denoise_each_given(x, levels, None),
        }
    }
}

/// See [`Model::given`].
struct Given<'a, N> {
    model: &'a Model<N>,
    cond: &'a Cond,
}

impl<N: Network> Denoiser for Given<'_, N> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        self.model.denoise_given(x, level, Some(self.cond))
    }

    fn denoise_each(&self, x: &Tensor, levels: &[NoiseLevel]) -> Result<Tensor> {
        check_levels(x, levels)?;
        match self.cond.batch() {
            Some(batch) if batch > 0 && !levels.iter().any(|level| level.is_clean()) => {
                let cond = self.cond.repeated(levels.len() as i64 / batch);
                self.model.denoise_each_given(x, levels, Some(&cond))
            }
            _ => one_by_one(self, x, levels),
        }
    }
}
