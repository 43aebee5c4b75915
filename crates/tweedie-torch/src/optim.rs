//! Updates of all parameters in one call each.
#![allow(unsafe_code)]

use crate::weights::{self, StateDict};
use crate::{Error, Result, ffi};
use tch::{Kind, Tensor};

/// AdamW (Loshchilov & Hutter, arXiv:1711.05101) as PyTorch computes it, all parameters in one
/// fused call. Its state is made of plain tensors, in the order of the parameters.
#[derive(Debug)]
pub struct AdamW {
    /// Running means of gradients and of their squares.
    moments: Vec<(Tensor, Tensor)>,
    /// The number of updates: libtorch wants it as a tensor.
    step: Tensor,
    config: AdamWConfig,
}

/// The settings of [`AdamW`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Added to the denominator.
    pub eps: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        AdamWConfig { beta1: 0.9, beta2: 0.999, weight_decay: 0.01, eps: 1e-8 }
    }
}

impl AdamWConfig {
    fn check(&self) -> Result<()> {
        for (what, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return Err(Error::invalid(what, beta, "a number in [0, 1)"));
            }
        }
        for (what, value) in [("weight_decay", self.weight_decay), ("eps", self.eps)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::invalid(what, value, "a number of at least 0"));
            }
        }
        Ok(())
    }
}

impl AdamW {
    /// A fresh state for `params`.
    pub fn new<'a>(
        params: impl IntoIterator<Item = &'a Tensor>,
        config: AdamWConfig,
    ) -> Result<Self> {
        config.check()?;
        let (mut moments, mut device) = (vec![], tch::Device::Cpu);
        for p in params {
            moments.push((p.f_zeros_like()?.detach(), p.f_zeros_like()?.detach()));
            device = p.device();
        }
        Ok(AdamW { moments, step: Tensor::f_zeros([1], (Kind::Float, device))?, config })
    }

    /// Updates `params`, in the order they were given in, by `grads`: one call, nothing recorded.
    ///
    /// # Errors
    /// If there are not as many of both as there were parameters, a gradient is missing or has
    /// another shape, kind or device than its parameter, or `lr` is not finite. Nothing is changed
    /// then.
    pub fn step(&mut self, params: &[&Tensor], grads: &[&Tensor], lr: f64) -> Result<()> {
        if params.len() != self.moments.len() || grads.len() != params.len() {
            let found = format!("{} and {}", params.len(), grads.len());
            return Err(Error::invalid(
                "the numbers of parameters and gradients",
                found,
                self.moments.len().to_string(),
            ));
        }
        if !lr.is_finite() {
            return Err(Error::invalid("lr", lr, "a finite number"));
        }
        if grads.iter().any(|g| !g.defined()) {
            return Err(Error::Gradient("a parameter has none"));
        }
        let AdamWConfig { beta1, beta2, weight_decay, eps } = self.config;
        let lists = [
            ffi::raws(params.iter().copied()),
            ffi::raws(grads.iter().copied()),
            ffi::raws(self.moments.iter().map(|m| &m.0)),
            ffi::raws(self.moments.iter().map(|m| &m.1)),
            ffi::raws(params.iter().map(|_| &self.step)),
        ];
        let pointers = lists.each_ref().map(Vec::as_ptr);
        // SAFETY: five lists of equally many live tensors.
        ffi::check(unsafe {
            let n = params.len() as i32;
            ffi::tweedie_adamw(pointers.as_ptr(), n, lr, beta1, beta2, weight_decay, eps)
        })
    }

    /// The state as named tensors that share memory with it: `{name}.exp_avg` and
    /// `{name}.exp_avg_sq` for each parameter, and `step`. A parameter beyond the end of `names` is
    /// called by its number: no part of the state is ever left out.
    pub fn state_dict<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> StateDict {
        let mut dict = StateDict::new();
        let mut names = names.into_iter();
        for (i, (first, second)) in self.moments.iter().enumerate() {
            let name = names.next().map_or_else(|| i.to_string(), str::to_owned);
            dict.insert(format!("{name}.exp_avg"), first.shallow_clone());
            dict.insert(format!("{name}.exp_avg_sq"), second.shallow_clone());
        }
        dict.insert("step".to_owned(), self.step.shallow_clone());
        dict
    }

    /// Goes on from a [`state_dict`](Self::state_dict) with the same names.
    ///
    /// # Errors
    /// If names or shapes differ; nothing is changed then.
    pub fn load_state<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a str>,
        dict: &StateDict,
    ) -> Result<()> {
        let own = self.state_dict(names);
        weights::load_into(own.iter().map(|(name, t)| (name.as_str(), t)), dict)
    }
}

/// `shadow ← decay·shadow + (1 − decay)·params` for all at once; averages may be of a finer kind
/// than their parameters.
///
/// # Errors
/// If numbers or shapes differ, or `decay` is outside [0, 1].
pub fn ema_update(shadow: &[&Tensor], params: &[&Tensor], decay: f64) -> Result<()> {
    if !(0.0..=1.0).contains(&decay) {
        return Err(Error::invalid("the decay", decay, "a number in [0, 1]"));
    }
    if shadow.len() != params.len() {
        return Err(Error::invalid(
            "the number of averages",
            shadow.len(),
            params.len().to_string(),
        ));
    }
    let (to, from) = (ffi::raws(shadow.iter().copied()), ffi::raws(params.iter().copied()));
    // SAFETY: two lists of equally many live tensors; the bridge checks their shapes.
    ffi::check(unsafe {
        ffi::tweedie_lerp(to.as_ptr(), from.as_ptr(), to.len() as i32, 1.0 - decay)
    })
}

/// The Euclidean norm of all tensors together, summed in double precision in a fixed order: the
/// same bits on any number of threads (on the CPU, in `f32` and `f64`). Not finite if a value is
/// not; 0 of no tensors.
pub fn norm(tensors: &[&Tensor]) -> Result<f64> {
    if tensors.is_empty() {
        return Ok(0.0);
    }
    let (list, mut norm) = (ffi::raws(tensors.iter().copied()), 0.0);
    // SAFETY: a list of live tensors.
    ffi::check(unsafe { ffi::tweedie_norm(list.as_ptr(), list.len() as i32, &mut norm) })?;
    Ok(norm)
}

/// Scales `grads` down to the norm `limit` if theirs is larger, and returns what theirs was. One
/// that is not finite scales nothing: the caller decides.
///
/// # Errors
/// If `limit` is not a positive number.
pub fn clip_norm(grads: &[&Tensor], limit: f64) -> Result<f64> {
    if limit.is_nan() || limit <= 0.0 {
        return Err(Error::invalid("the largest norm", limit, "a positive number"));
    }
    let found = norm(grads)?;
    if found.is_finite() && found > limit {
        scale(grads, limit / found)?;
    }
    Ok(found)
}

/// Multiplies all tensors by `factor`, in place.
pub fn scale(tensors: &[&Tensor], factor: f64) -> Result<()> {
    let list = ffi::raws(tensors.iter().copied());
    // SAFETY: a list of live tensors.
    ffi::check(unsafe { ffi::tweedie_scale(list.as_ptr(), list.len() as i32, factor) })
}

/// Drops the gradients of all tensors.
pub fn clear_grads<'a>(params: impl IntoIterator<Item = &'a Tensor>) -> Result<()> {
    let list = ffi::raws(params);
    // SAFETY: a list of live tensors.
    ffi::check(unsafe { ffi::tweedie_clear_grads(list.as_ptr(), list.len() as i32) })
}

#[cfg(test)]
mod tests;
