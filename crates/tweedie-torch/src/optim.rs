//! Updates of all parameters in one call each.
#![allow(unsafe_code)]

use crate::{Error, Result, ffi, weights::StateDict};
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

    /// Updates `params`, in the order they were given in, by `grads`.
    pub fn step(&mut self, params: &[&Tensor], grads: &[&Tensor], lr: f64) -> Result<()> {
        if params.len() != self.moments.len() || grads.len() != params.len() {
            let found = format!("{} and {}", params.len(), grads.len());
            return Err(Error::invalid(
                "the numbers of parameters and gradients",
                found,
                self.moments.len().to_string(),
            ));
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
    /// `{name}.exp_avg_sq` for each parameter, and `step`.
    pub fn state_dict<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> StateDict {
        let mut dict = StateDict::new();
        for (name, (first, second)) in names.into_iter().zip(&self.moments) {
            dict.insert(format!("{name}.exp_avg"), first.shallow_clone());
            dict.insert(format!("{name}.exp_avg_sq"), second.shallow_clone());
        }
        dict.insert("step".to_owned(), self.step.shallow_clone());
        dict
    }
}

/// `shadow ← decay·shadow + (1 − decay)·params` for all at once.
pub fn ema_update(shadow: &[&Tensor], params: &[&Tensor], decay: f64) -> Result<()> {
    if shadow.len() != params.len() {
        return Err(Error::invalid(
            "the number of averages",
            shadow.len(),
            params.len().to_string(),
        ));
    }
    let (to, from) = (ffi::raws(shadow.iter().copied()), ffi::raws(params.iter().copied()));
    // SAFETY: two lists of equally many live tensors; libtorch checks their shapes.
    ffi::check(unsafe {
        ffi::tweedie_lerp(to.as_ptr(), from.as_ptr(), to.len() as i32, 1.0 - decay)
    })
}

/// The Euclidean norm of all tensors together.
pub fn norm(tensors: &[&Tensor]) -> Result<f64> {
    if tensors.is_empty() {
        return Ok(0.0);
    }
    let (list, mut norm) = (ffi::raws(tensors.iter().copied()), 0.0);
    // SAFETY: a list of live tensors.
    ffi::check(unsafe { ffi::tweedie_norm(list.as_ptr(), list.len() as i32, &mut norm) })?;
    Ok(norm)
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
mod tests {
    use super::*;
    use crate::tensor::{from_f32, to_f32, to_f64};

    fn t(values: &[f32]) -> Tensor {
        from_f32(values, &[values.len() as i64]).unwrap()
    }

    /// The update written out in double precision.
    #[test]
    fn adamw_is_the_papers() {
        let config = AdamWConfig { weight_decay: 0.1, ..Default::default() };
        let params = [t(&[1.0, -2.0]), t(&[0.5])];
        let mut adamw = AdamW::new(&params, config).unwrap();
        let mut expected = [1.0, -2.0, 0.5];
        let (mut m, mut v) = ([0.0; 3], [0.0; 3]);
        for step in 1..=5 {
            let g = [0.3 * f64::from(step), -1.0, 2.0 / f64::from(step)];
            let grads = [t(&[g[0] as f32, g[1] as f32]), t(&[g[2] as f32])];
            adamw.step(&[&params[0], &params[1]], &[&grads[0], &grads[1]], 0.01).unwrap();
            for i in 0..3 {
                m[i] = 0.9 * m[i] + 0.1 * g[i];
                v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
                let (m_hat, v_hat) =
                    (m[i] / (1.0 - 0.9f64.powi(step)), v[i] / (1.0 - 0.999f64.powi(step)));
                expected[i] =
                    expected[i] * (1.0 - 0.01 * 0.1) - 0.01 * m_hat / (v_hat.sqrt() + 1e-8);
            }
        }
        let found: Vec<f64> = params.iter().flat_map(|p| to_f64(p).unwrap()).collect();
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} for {expected}"); // single precision
        }
        let dict = adamw.state_dict(["a", "b"]);
        assert_eq!(to_f32(&dict["step"]).unwrap(), [5.0]);
        assert_eq!(dict.len(), 5);
    }

    #[test]
    fn mistakes_are_refused() {
        let p = t(&[1.0]);
        let mut adamw = AdamW::new([&p], AdamWConfig::default()).unwrap();
        assert!(adamw.step(&[&p], &[], 0.1).is_err());
        assert!(adamw.step(&[&p], &[&Tensor::new()], 0.1).is_err());
        assert!(AdamW::new([&p], AdamWConfig { beta1: 1.0, ..Default::default() }).is_err());
        assert!(ema_update(&[&p], &[], 0.9).is_err());
    }

    #[test]
    fn averages_norms_and_factors() {
        let (shadow, p) = (t(&[1.0, 0.0]), t(&[3.0, 4.0]));
        ema_update(&[&shadow], &[&p], 0.75).unwrap();
        assert_eq!(to_f32(&shadow).unwrap(), [1.5, 1.0]);
        assert!((norm(&[&p, &t(&[12.0])]).unwrap() - 13.0).abs() < 1e-6);
        scale(&[&p], 0.5).unwrap();
        assert_eq!(to_f32(&p).unwrap(), [1.5, 2.0]);
        assert_eq!(norm(&[]).unwrap(), 0.0);
    }
}
