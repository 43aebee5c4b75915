//! PyTorch's CPU generator as an object. The global one is never touched.
#![allow(unsafe_code)]

use crate::{Error, Result, ffi, tensor};
use tch::{Device, Kind, Tensor};

/// The stream of `torch.Generator().manual_seed(seed)`: a Mersenne twister. The same draws in the
/// same order give the same numbers as PyTorch's.
pub struct Generator(ffi::Raw);

// SAFETY: the generator is owned and guards its state by a mutex of its own.
unsafe impl Send for Generator {}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Generator")
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        // SAFETY: made by tweedie_generator_new, freed once.
        unsafe { ffi::tweedie_generator_free(self.0) };
    }
}

impl Generator {
    /// A generator seeded as `manual_seed` does.
    pub fn new(seed: u64) -> Result<Self> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: on success the bridge stores a generator that is ours.
        ffi::check(unsafe { ffi::tweedie_generator_new(seed, &mut raw) })?;
        Ok(Generator(raw))
    }

    /// `torch.randn(shape, dtype=kind)`.
    pub fn normal(&mut self, shape: &[i64], kind: Kind) -> Result<Tensor> {
        self.fill(0, shape, kind, 0.0, 1.0)
    }

    /// `torch.empty(shape, dtype=kind).uniform_(low, high)`.
    pub fn uniform(&mut self, shape: &[i64], kind: Kind, low: f64, high: f64) -> Result<Tensor> {
        if !(low.is_finite() && high.is_finite() && low <= high) {
            return Err(Error::invalid("the range", format!("{low} to {high}"), "a rising one"));
        }
        self.fill(1, shape, kind, low, high)
    }

    /// `torch.randint(high, shape)`.
    pub fn below(&mut self, high: i64, shape: &[i64]) -> Result<Tensor> {
        if !(1..=1 << 53).contains(&high) {
            return Err(Error::invalid("high", high, "a number from 1 to 2^53"));
        }
        self.fill(2, shape, Kind::Int64, 0.0, high as f64)
    }

    /// `torch.randperm(n)`.
    pub fn permutation(&mut self, n: i64) -> Result<Tensor> {
        self.fill(3, &[n], Kind::Int64, 0.0, 0.0)
    }

    fn fill(&mut self, what: i32, shape: &[i64], kind: Kind, a: f64, b: f64) -> Result<Tensor> {
        tensor::elements(shape)?;
        let out = Tensor::f_empty(shape, (kind, Device::Cpu))?;
        // SAFETY: generator and tensor are live.
        ffi::check(unsafe { ffi::tweedie_generator_fill(self.0, what, ffi::raw(&out), a, b) })?;
        Ok(out)
    }

    /// The whole state, to go on from later.
    pub fn state(&self) -> Result<Vec<u8>> {
        let out = Tensor::f_empty([0], (Kind::Uint8, Device::Cpu))?;
        // SAFETY: generator and tensor are live.
        ffi::check(unsafe { ffi::tweedie_generator_state(self.0, ffi::raw(&out), false) })?;
        tensor::to_u8(&out)
    }

    /// Goes on from a [`state`](Self::state).
    pub fn set_state(&mut self, state: &[u8]) -> Result<()> {
        let t = tensor::from_u8(state, &[state.len() as i64])?;
        // SAFETY: generator and tensor are live; the bridge checks the state.
        ffi::check(unsafe { ffi::tweedie_generator_state(self.0, ffi::raw(&t), true) })
    }
}

/// What dropout multiplies by: 0 with this probability, else `1/(1 − probability)`, in the shape,
/// kind and layout of `like`. It follows from the key and an element's place in memory alone: no
/// generator is moved, and a mask can be made again. On other devices than the CPU it is made on
/// the host.
///
/// # Errors
/// Unless `probability` is in [0, 1) and `like` has a floating-point kind.
pub fn dropout_mask(like: &Tensor, probability: f64, key: [u64; 2]) -> Result<Tensor> {
    if !(0.0..1.0).contains(&probability) {
        return Err(Error::invalid(
            "the probability of dropout",
            probability,
            "a number in [0, 1)",
        ));
    }
    let out = match like.device() {
        Device::Cpu => like.detach().f_empty_like()?,
        _ => Tensor::f_empty(like.size(), (like.f_kind()?, Device::Cpu))?,
    };
    // SAFETY: the tensor is live and fresh; the bridge checks its kind.
    ffi::check(unsafe { ffi::tweedie_dropout(ffi::raw(&out), probability, key[0], key[1]) })?;
    Ok(out.f_to_device(like.device())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{to_f32, to_i64};

    /// `torch.manual_seed(0)`, then `randn(3)`, `randint(10, (4,))`, `randperm(5)`, PyTorch 2.13.
    #[test]
    fn numbers_are_pytorchs() {
        let mut g = Generator::new(0).unwrap();
        let randn = to_f32(&g.normal(&[3], Kind::Float).unwrap()).unwrap();
        for (ours, theirs) in randn.iter().zip([1.540_996_1, -0.293_428_9, -2.178_789_4]) {
            assert!((ours - theirs).abs() < 1e-6, "{randn:?}");
        }
        let mut g = Generator::new(0).unwrap();
        assert_eq!(to_i64(&g.below(10, &[5]).unwrap()).unwrap(), [4, 9, 3, 0, 3]);
    }

    #[test]
    fn a_state_goes_on_where_it_was() {
        let mut g = Generator::new(7).unwrap();
        let _ = g.normal(&[5], Kind::Float).unwrap();
        let state = g.state().unwrap();
        let next = to_f32(&g.normal(&[20], Kind::Float).unwrap()).unwrap();
        let mut other = Generator::new(1).unwrap();
        other.set_state(&state).unwrap();
        assert_eq!(to_f32(&other.normal(&[20], Kind::Float).unwrap()).unwrap(), next);
        assert!(other.set_state(&[1, 2, 3]).is_err());
    }

    #[test]
    fn the_global_generator_is_left_alone() {
        let draw = |own: bool| {
            #[allow(clippy::disallowed_methods)] // this test is about the global generator
            tch::manual_seed(3);
            if own {
                let _ = Generator::new(9).unwrap().normal(&[100], Kind::Float).unwrap();
            }
            to_f32(&Tensor::randn([4], tch::kind::FLOAT_CPU)).unwrap()
        };
        assert_eq!(draw(true), draw(false));
    }

    #[test]
    fn nonsense_is_refused() {
        let mut g = Generator::new(0).unwrap();
        assert!(g.below(0, &[1]).is_err() && g.below(i64::MAX, &[1]).is_err());
        assert!(g.uniform(&[1], Kind::Float, 1.0, 0.0).is_err());
        assert!(g.normal(&[-1], Kind::Float).is_err());
        assert!(g.permutation(-1).is_err());
    }

    #[test]
    fn masks_drop_as_often_as_asked_and_come_again() {
        let like = Tensor::zeros([64, 1000], tch::kind::FLOAT_CPU);
        let mask = dropout_mask(&like, 0.25, [3, 1]).unwrap();
        let values = to_f32(&mask).unwrap();
        assert!(values.iter().all(|&v| v == 0.0 || (v - 1.0 / 0.75).abs() < 1e-6));
        let dropped = values.iter().filter(|&&v| v == 0.0).count() as f64 / values.len() as f64;
        // Four standard deviations of 64,000 draws.
        assert!((dropped - 0.25).abs() < 4.0 * (0.25 * 0.75 / 64_000.0f64).sqrt(), "{dropped}");
        assert_eq!(to_f32(&dropout_mask(&like, 0.25, [3, 1]).unwrap()).unwrap(), values);
        assert_ne!(to_f32(&dropout_mask(&like, 0.25, [3, 2]).unwrap()).unwrap(), values);
        assert_ne!(to_f32(&dropout_mask(&like, 0.25, [4, 1]).unwrap()).unwrap(), values);
        let half = dropout_mask(&like.to_kind(Kind::BFloat16), 0.25, [3, 1]).unwrap();
        assert_eq!(half.kind(), Kind::BFloat16);
        let zeros = |t: &[f32]| t.iter().map(|&v| v == 0.0).collect::<Vec<_>>();
        assert_eq!(zeros(&to_f32(&half).unwrap()), zeros(&values));
        assert!(dropout_mask(&like, 1.0, [0, 0]).is_err());
        assert!(dropout_mask(&like.to_kind(Kind::Int64), 0.5, [0, 0]).is_err());
    }
}
