//! Between two pictures.
//!
//! A mean of pixels is no picture. These go up in noise, where what lies between two states is a
//! state like any other, and come down from there:
//!
//! - [`between_inversions`]: up by [`DdimInversion`], along great circles there (DDIM,
//!   arXiv:2010.02502, §5.3). Ends at the pictures themselves, up to the error of the inversion.
//! - [`between_noised`]: up by noise, the same for both, to a level of your choice (DDPM,
//!   arXiv:2006.11239, §4.3; SDEdit, arXiv:2108.01073). The less noise, the nearer to the pixels.

use crate::{DdimInversion, Sampler};
use tch::{Kind, Tensor};
use tweedie_core::{Denoiser, Error, Grid, Noise, Result};

/// `sin((1 − share)·θ)/sin θ·a + sin(share·θ)/sin θ·b`, sample by sample, with `θ` the angle between
/// two samples over all their elements: the great circle (Shoemake 1985). Where they point the
/// same way it is the straight line.
///
/// # Errors
/// Unless both are `[batch, …]` of one shape and kind.
///
/// ```
/// # fn main() -> tweedie_core::Result<()> {
/// use tch::Tensor;
/// let (a, b) = (Tensor::from_slice2(&[[1.0, 0.0]]), Tensor::from_slice2(&[[0.0, 1.0]]));
/// let middle = tweedie_samplers::interpolation::slerp(&a, &b, 0.5)?;
/// assert!((middle.double_value(&[0, 0]) - 0.5f64.sqrt()).abs() < 1e-12); // not a half
/// # Ok(())
/// # }
/// ```
pub fn slerp(a: &Tensor, b: &Tensor, share: f64) -> Result<Tensor> {
    alike(a, b)?;
    let shape: Vec<i64> =
        a.size().iter().enumerate().map(|(i, &n)| if i == 0 { n } else { 1 }).collect();
    let dot = |a: &Tensor, b: &Tensor| {
        (a * b).to_kind(Kind::Double).flatten(1, -1).sum_dim_intlist(1, false, Kind::Double)
    };
    let cos = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    let angle = cos.clamp(-1.0, 1.0).acos();
    let sin = angle.sin();
    let straight = sin.lt(1e-9).logical_or(&sin.isnan());
    let weight = |share: f64| {
        let arc = (&angle * share).sin() / &sin;
        arc.where_self(&straight.logical_not(), &arc.full_like(share))
            .reshape(&shape[..])
            .to_kind(a.kind())
    };
    Ok(a * weight(1.0 - share) + b * weight(share))
}

fn alike(a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dim() < 2 || a.size() != b.size() {
        return Err(Error::shape(
            "the second picture",
            format!("[batch, …], here {:?}", a.size()),
            &b.size(),
        ));
    }
    if a.kind() != b.kind() {
        return Err(Error::invalid(
            "the second picture",
            format!("{:?}", b.kind()),
            format!("{:?}", a.kind()),
        ));
    }
    Ok(())
}

/// The pictures at `shares` of the way from the first to the second of `ends`, each
/// `[batch, …]`: both are brought up `grid` by DDIM inversion, joined by [`slerp`], and `sampler`, a
/// deterministic one, leads down again.
///
/// # Errors
/// Where the two do not fit each other, and what inversion and sampler refuse; a sampler that draws
/// noise runs out of it.
pub fn between_inversions(
    sampler: &dyn Sampler,
    denoiser: &dyn Denoiser,
    ends: [&Tensor; 2],
    shares: &[f64],
    grid: &Grid,
) -> Result<Vec<Tensor>> {
    alike(ends[0], ends[1])?;
    let up = |x: &Tensor| DdimInversion::default().invert(denoiser, x.copy(), grid);
    let latents = [up(ends[0])?, up(ends[1])?];
    let down = |&share: &f64| {
        let x = slerp(&latents[0], &latents[1], share)?;
        sampler.sample(denoiser, x, grid, Noise::replay([]))
    };
    shares.iter().map(down).collect()
}

/// The pictures at `shares` of the way from the first to the second of `ends`, each `[batch, …]`:
///
/// ```text
/// x = alpha·((1 − share)·a + share·b) + sigma·z    at the start of the grid, and down from there
/// ```
///
/// All have the same noise, so between two noisy pictures the straight line keeps its amount (a
/// great circle would not) and neighbouring shares give neighbouring pictures. `noise` makes the
/// source of a run: the same each time, seeded.
///
/// # Errors
/// Where the two do not fit each other, and what the sampler refuses.
///
/// ```
/// use tweedie_core::{Grid, Noise, closed_form::GaussianMixture};
/// use tweedie_samplers::{Heun, interpolation::between_noised};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let data = GaussianMixture::ring(8, 1.0, 0.05)?;
/// let (a, b) = (tch::Tensor::from_slice2(&[[1.0, 0.0]]), tch::Tensor::from_slice2(&[[0.0, 1.0]]));
/// let grid = Grid::from_sigmas(&[0.6, 0.3, 0.15, 0.07, 0.0])?;
/// let shares = [0.0, 0.25, 0.5, 0.75, 1.0];
/// let way = between_noised(&Heun::default(), &data, [&a, &b], &shares, &grid, || Noise::seeded(3))?;
/// for x in &way {
///     assert!((x.norm().double_value(&[]) - 1.0).abs() < 0.2); // all on the ring
/// }
/// # Ok(())
/// # }
/// ```
pub fn between_noised(
    sampler: &dyn Sampler,
    denoiser: &dyn Denoiser,
    ends: [&Tensor; 2],
    shares: &[f64],
    grid: &Grid,
    noise: impl Fn() -> Noise,
) -> Result<Vec<Tensor>> {
    alike(ends[0], ends[1])?;
    let start = grid.start();
    let one = |&share: &f64| {
        let mut noise = noise();
        let z = noise.initial(&ends[0].size(), ends[0].kind(), ends[0].device())?;
        let data = ends[0] * (start.alpha * (1.0 - share)) + ends[1] * (start.alpha * share);
        sampler.sample(denoiser, data + z * start.sigma, grid, noise)
    };
    shares.iter().map(one).collect()
}
