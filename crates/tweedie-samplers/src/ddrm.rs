//! Denoising diffusion restoration.

use crate::{Run, Sampler, Solver};
use tch::Tensor;
use tweedie_core::{Error, Grid, Result, inverse::Spectral};

/// DDRM (arXiv:2201.11793, eqs. 7 and 8): samples of data given a linear measurement
/// `y = A·x0 + noise_std·n`, without gradients. Every singular direction of `A` has a step of its
/// own, by its singular value `s` and the noise ratio `σ'` of the step's end:
///
/// ```text
/// s = 0              x0 + √(1 − η²)·σ'·eps + η·σ'·z                        as DDIM
/// σ' < noise_std/s   x0 + √(1 − η²)·σ'·(ȳ − x0)/(noise_std/s) + η·σ'·z      ȳ is noisier than the state
/// σ' ≥ noise_std/s   (1 − η_b)·x0 + η_b·ȳ + √(σ'² − η_b²·noise_std²/s²)·z    ȳ, brought to its noise
/// ```
///
/// with `ȳ = A⁺·y`. One evaluation a step. The start is noise as for every sampler; the paper adds
/// `ȳ` to it where that is known, which the first step does as well.
///
/// With exact measurements the end fits them exactly. Of noise in them it is an approximation.
///
/// ```
/// use tweedie_core::{Grid, Noise, closed_form::Gaussian, inverse::Mask};
/// use tweedie_samplers::{Ddrm, Sampler};
/// use tch::Tensor;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let data = Gaussian::new(Tensor::from_slice(&[0.0]), Tensor::from_slice(&[1.0]))?;
/// let seen = Mask::new(&Tensor::from_slice(&[1.0, 0.0]))?;
/// let y = Tensor::from_slice2(&[[0.7, 0.0]]);
/// let grid = Grid::from_sigmas(&[20.0, 5.0, 1.0, 0.2, 0.0])?;
/// let mut noise = Noise::seeded(0);
/// let x = noise.initial(&[1, 2], tch::Kind::Double, tch::Device::Cpu)? * 20.0;
/// let x = Ddrm::new(seen, y, 0.0)?.sample(&data, x, &grid, noise)?;
/// assert_eq!(x.double_value(&[0, 0]), 0.7);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Ddrm<A> {
    operator: A,
    y: Tensor,
    noise_std: f64,
    eta: f64,
    eta_b: f64,
}

impl<A: Spectral> Ddrm<A> {
    /// `y` is the measurement, `[batch, …]`, in the kind and on the device of the data, and
    /// `noise_std` the standard deviation of its noise. `η = 0.85` and `η_b = 1`, as in the paper.
    ///
    /// # Errors
    /// For a negative `noise_std`.
    pub fn new(operator: A, y: Tensor, noise_std: f64) -> Result<Self> {
        if !(noise_std.is_finite() && noise_std >= 0.0) {
            return Err(Error::invalid("noise_std", noise_std, "a finite number of at least 0"));
        }
        Ok(Ddrm { operator, y, noise_std, eta: 0.85, eta_b: 1.0 })
    }

    /// Other shares of fresh noise: where there is no measurement better than the state (`eta`, 0 is
    /// DDIM), and of the measurement where there is (`eta_b`).
    ///
    /// # Errors
    /// Outside [0, 1].
    pub fn etas(self, eta: f64, eta_b: f64) -> Result<Self> {
        for (what, value) in [("eta", eta), ("eta_b", eta_b)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::invalid(what, value, "a number in [0, 1]"));
            }
        }
        Ok(Ddrm { eta, eta_b, ..self })
    }
}

/// The settings, without the tensors.
#[derive(Clone, Copy, Debug)]
struct Shares {
    noise_std: f64,
    eta: f64,
    eta_b: f64,
}

impl Shares {
    /// The weights of `x0`, `eps`, `ȳ` and `z` in `x'/alpha'` along a direction of singular value
    /// `s`, for a step to the noise ratio `to`.
    fn weights(self, s: f64, to: f64) -> [f64; 4] {
        let Shares { noise_std, eta, eta_b } = self;
        let kept = (1.0 - eta * eta).sqrt() * to;
        if s == 0.0 {
            return [1.0, kept, 0.0, eta * to];
        }
        let known = noise_std / s;
        if to < known {
            return [1.0 - kept / known, 0.0, kept / known, eta * to];
        }
        [1.0 - eta_b, 0.0, eta_b, (to * to - (eta_b * known).powi(2)).max(0.0).sqrt()]
    }
}

impl<A: Spectral + Clone + Send + 'static> Sampler for Ddrm<A> {
    fn solver(&self) -> Result<Solver> {
        let (operator, y) = (self.operator.clone(), self.y.shallow_clone());
        let shares = Shares { noise_std: self.noise_std, eta: self.eta, eta_b: self.eta_b };
        let (mut y_bar, mut eps, mut noise) = (None, None, None);
        Ok(Box::new(move |run| {
            let y_bar = match &y_bar {
                Some(y_bar) => y_bar,
                None => y_bar.insert(measured(&operator, &y, run.x())?),
            };
            let x0 = run.denoise()?;
            step(run, &operator, shares, [&x0, y_bar], [&mut eps, &mut noise])?;
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}

fn step(
    run: &mut Run<'_>,
    operator: &impl Spectral,
    shares: Shares,
    [x0, y_bar]: [&Tensor; 2],
    [eps, noise]: [&mut Option<Tensor>; 2],
) -> Result<()> {
    let (from, to) = (run.level(), run.next_level());
    let part = |i: usize, t: &Tensor| operator.spectral(t, &|s| shares.weights(s, to.ratio())[i]);
    let (x0_part, y_part) = (part(0, x0)?, part(2, y_bar)?);
    if to.is_clean() {
        return run.advance(0.0, &[(to.alpha, &x0_part), (to.alpha, &y_part)], 0.0);
    }
    let eps = run.combine(eps, &[(1.0 / from.sigma, run.x()), (-from.alpha / from.sigma, x0)])?;
    let z = run.draw(noise, Some((from, to)))?;
    let parts = [x0_part, part(1, eps)?, y_part, part(3, z)?];
    run.advance(0.0, &parts.each_ref().map(|part| (to.alpha, part)), 0.0)
}

/// `A⁺·y`, which must be data like `x`.
fn measured(operator: &impl Spectral, y: &Tensor, x: &Tensor) -> Result<Tensor> {
    let y_bar = operator.pseudo_inverse(y)?;
    if y_bar.size() != x.size() {
        return Err(Error::shape("A⁺·y", format!("{:?}", x.size()), &y_bar.size()));
    }
    if y_bar.kind() != x.kind() || y_bar.device() != x.device() {
        let say = |t: &Tensor| format!("{:?} on {:?}", t.kind(), t.device());
        return Err(Error::invalid("the measurement", say(&y_bar), say(x)));
    }
    Ok(y_bar)
}
