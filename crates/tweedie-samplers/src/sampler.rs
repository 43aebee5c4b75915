//! What a sampler is, and the loop that all of them share.

use crate::Run;
use tch::Tensor;
use tweedie_core::{Denoiser, Grid, Noise, NoiseLevel, Result};

/// One step of a solver: brings [`Run`]'s state from its present level to the next and returns
/// the estimate of `x0` that it went by. What it remembers between steps, it captures.
pub type Solver = Box<dyn FnMut(&mut Run<'_>) -> Result<Tensor> + Send>;

/// A way from noise to data: a value with settings that makes an iterator of steps.
///
/// ```
/// use tweedie_core::{Grid, Noise, closed_form::GaussianMixture};
/// use tweedie_samplers::{Heun, Sampler};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let data = GaussianMixture::ring(8, 1.0, 0.05)?;
/// let grid = Grid::from_sigmas(&[10.0, 3.0, 1.0, 0.3, 0.1, 0.0])?;
/// let mut noise = Noise::seeded(0);
/// let x = noise.initial(&[100, 2], tch::Kind::Float, tch::Device::Cpu)? * 10.0;
/// for step in Heun::default().steps(&data, x, &grid, noise)? {
///     let step = step?;
///     println!("{}: sigma {} {:?}", step.index, step.level.sigma, step.x0.size());
/// }
/// # Ok(())
/// # }
/// ```
pub trait Sampler {
    /// A fresh solver; refuses settings that make no sense.
    fn solver(&self) -> Result<Solver>;

    /// How often the denoiser is asked on the whole way along `grid`: exactly, or where
    /// [`is_adaptive`](Self::is_adaptive) at most.
    fn evaluations(&self, grid: &Grid) -> usize;

    /// Whether the solver chooses steps of its own between the levels of the grid, so that the
    /// number of evaluations depends on the denoiser.
    /// [`DenoiserExt::counted`](tweedie_core::DenoiserExt::counted) tells what it was.
    fn is_adaptive(&self) -> bool {
        false
    }

    /// The steps along `grid` from `x`, the state `[batch, …]` at the grid's first level
    /// (unit noise times its `sigma`, unless it comes from a picture).
    ///
    /// Nothing is computed before the iterator is asked, and dropping it cancels the rest.
    /// `x` must be `f32` or `f64`: a sampler adds small numbers to large ones.
    fn steps<'a>(
        &self,
        denoiser: &'a dyn Denoiser,
        x: Tensor,
        grid: &'a Grid,
        noise: Noise,
    ) -> Result<Steps<'a>> {
        Ok(Steps { solver: self.solver()?, run: Run::new(denoiser, x, grid, noise)? })
    }

    /// The state at the end of `grid`: `x0` where the grid ends without noise.
    fn sample(
        &self,
        denoiser: &dyn Denoiser,
        x: Tensor,
        grid: &Grid,
        noise: Noise,
    ) -> Result<Tensor> {
        let mut steps = self.steps(denoiser, x, grid, noise)?;
        while steps.advance()?.is_some() {}
        Ok(steps.run.into_x())
    }
}

impl<S: Sampler + ?Sized> Sampler for Box<S> {
    fn solver(&self) -> Result<Solver> {
        (**self).solver()
    }
    fn evaluations(&self, grid: &Grid) -> usize {
        (**self).evaluations(grid)
    }
    fn is_adaptive(&self) -> bool {
        (**self).is_adaptive()
    }
}

/// What a step leaves behind. The tensors are the holder's: they never change later.
#[derive(Debug)]
pub struct Step {
    /// Counted from 0.
    pub index: usize,
    /// The level of `x`: the step's end.
    pub level: NoiseLevel,
    /// The state.
    pub x: Tensor,
    /// The estimate of the clean data that the step went by.
    pub x0: Tensor,
}

/// The iterator of [`Sampler::steps`]. After an error it ends.
pub struct Steps<'a> {
    solver: Solver,
    run: Run<'a>,
}

impl std::fmt::Debug for Steps<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steps").field("index", &self.run.index()).finish_non_exhaustive()
    }
}

impl Steps<'_> {
    /// Takes a step, if one is left, and returns the estimate that it went by.
    fn advance(&mut self) -> Result<Option<Tensor>> {
        if self.run.is_done() {
            return Ok(None);
        }
        let _guard = tch::no_grad_guard();
        let step = (self.solver)(&mut self.run).and_then(|x0| self.run.finish_step().map(|()| x0));
        if step.is_err() {
            self.run.stop();
        }
        step.map(Some)
    }
}

impl Steps<'_> {
    /// Goes on from another state at the level that the last step ended at: for callers that keep
    /// part of the state at what they know it is, as inpainting does. What a solver remembers of
    /// earlier steps stays.
    ///
    /// # Errors
    /// If the shape or the kind is not the state's.
    pub fn replace(&mut self, x: Tensor) -> Result<()> {
        self.run.replace(x)
    }
}

impl Iterator for Steps<'_> {
    type Item = Result<Step>;

    fn next(&mut self) -> Option<Result<Step>> {
        let index = self.run.index();
        let x0 = match self.advance() {
            Ok(x0) => x0?,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(Step { index, level: self.run.level(), x: self.run.x().shallow_clone(), x0 }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.run.remaining()))
    }
}
