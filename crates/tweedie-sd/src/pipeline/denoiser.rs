//! The UNet as a denoiser.

use crate::Unet;
use crate::unet::{Memory, Shortcuts};
use std::cell::RefCell;
use tch::{Kind, Tensor};
use tweedie_core::guidance::Branches;
use tweedie_core::{Cond, Denoiser, Error, NoiseLevel, Prediction, Result};
use tweedie_schedules::Schedule;
use tweedie_torch::fused;

/// A UNet under a prompt and, for guidance, a negative one. It denoises on every path: a state is
/// brought to the scale of the model, which is variance preserving.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prompted<'a> {
    pub(super) unet: &'a Unet,
    pub(super) schedule: &'a Schedule,
    pub(super) prediction: Prediction,
    pub(super) cond: &'a Cond,
    pub(super) null: &'a Cond,
    /// Further channels of the input, `[batch, …]`: a mask and what it leaves, for inpainting models.
    pub(super) extra: Option<&'a Tensor>,
    /// The guidance scale of models that have it built in.
    pub(super) guidance: Option<f64>,
    /// The boundary condition of latent consistency models.
    pub(super) timestep_scaling: Option<f64>,
    pub(super) whole_timesteps: bool,
    /// What the UNet keeps from call to call.
    pub(super) memory: &'a RefCell<Remembered>,
}

/// Which of the prompts a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Cond,
    Null,
    Both,
}

/// The UNet's memory, and what it is of: the features of one prompt are of no use to the other.
#[derive(Debug)]
pub(super) struct Remembered {
    memory: Memory,
    about: Option<About>,
}

impl Remembered {
    pub(super) fn new(shortcuts: Shortcuts) -> Self {
        Remembered { memory: Memory::new(shortcuts), about: None }
    }

    fn of(&mut self, about: About) -> &mut Memory {
        if self.about.replace(about) != Some(about) {
            self.memory.forget();
        }
        &mut self.memory
    }
}

impl Prompted<'_> {
    /// `x0` under a prompt, of a state that may be at any scale.
    fn estimate(&self, x: &Tensor, level: NoiseLevel, about: About) -> Result<Tensor> {
        if level.is_clean() {
            return Ok(x / level.alpha);
        }
        let to_vp = 1.0 / level.alpha.hypot(level.sigma);
        let level = NoiseLevel { alpha: level.alpha * to_vp, sigma: level.sigma * to_vp };
        let mut t = self.schedule.timestep(level);
        if self.whole_timesteps {
            t = t.round();
        }
        let x = if to_vp == 1.0 { x.shallow_clone() } else { x * to_vp };
        let output = self.predict(&x, t, about)?;
        let (mut c_skip, mut c_out) = self.prediction.denoiser(level);
        if !(c_skip.is_finite() && c_out.is_finite()) {
            let why = "the prediction does not determine x0 there";
            return Err(Error::Level { what: "the UNet", level, why });
        }
        if let Some(scaling) = self.timestep_scaling {
            // Luo et al., arXiv:2310.04378, eq. 9: f(x, t) = c_skip(t)·x + c_out(t)·x0.
            let (s, d) = (t * scaling, 0.5_f64);
            let (skip, out) = (d * d / (s * s + d * d), s / s.hypot(d));
            (c_skip, c_out) = (skip + out * c_skip, out * c_out);
        }
        let mut x0 = None;
        fused::combine_into(&mut x0, &[(c_skip, &x), (c_out, &output)])?;
        x0.ok_or_else(|| Error::invalid("the UNet's answer", "nothing", "a tensor"))
    }

    /// What the UNet says of `x` at the timestep `t`; for both prompts `x` is there twice.
    fn predict(&self, x: &Tensor, t: f64, about: About) -> Result<Tensor> {
        let timesteps = Tensor::f_full([x.size()[0]], t, (Kind::Float, x.device()))
            .map_err(tweedie_torch::Error::from)?;
        let input = match (self.extra, about) {
            (None, _) => x.shallow_clone(),
            (Some(extra), About::Both) => beside(x, &twice(extra)?)?,
            (Some(extra), _) => beside(x, extra)?,
        };
        let both;
        let cond = match about {
            About::Cond => self.cond,
            About::Null => self.null,
            About::Both => {
                both = self.cond.cat(self.null)?;
                &both
            }
        };
        let mut remembered = self.memory.borrow_mut();
        let memory = remembered.of(about);
        Ok(self.unet.forward_from(&input, &timesteps, cond, self.guidance, memory)?)
    }
}

/// The batch two times.
fn twice(x: &Tensor) -> Result<Tensor> {
    Ok(Tensor::f_cat(&[x, x], 0).map_err(tweedie_torch::Error::from)?)
}

/// Both one's channels.
fn beside(x: &Tensor, extra: &Tensor) -> Result<Tensor> {
    Ok(Tensor::f_cat(&[x, extra], 1).map_err(tweedie_torch::Error::from)?)
}

impl Denoiser for Prompted<'_> {
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        self.strong(x, level)
    }
}

impl Branches for Prompted<'_> {
    fn strong(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        self.estimate(x, level, About::Cond)
    }

    fn weak(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        self.estimate(x, level, About::Null)
    }

    /// Both in one batch.
    fn both(&self, x: &Tensor, level: NoiseLevel) -> Result<[Tensor; 2]> {
        let batch = x.size()[0];
        let x0 = self.estimate(&twice(x)?, level, About::Both)?;
        Ok([x0.narrow(0, 0, batch), x0.narrow(0, batch, batch)])
    }
}
