//! What a solver sees of the sampling run that it is part of.

use std::cell::Cell;
use tch::{Kind, Tensor};
use tweedie_core::{Denoiser, Error, Grid, Noise, NoiseLevel, Result, noise::Draw};
use tweedie_torch::{fused, tensor};

/// The state of a run: the tensor on its way, where it is, and what may be asked.
///
/// Every solver is a linear combination of the state, estimates and noise with coefficients that
/// are plain numbers. [`advance`](Self::advance) does that in one pass over memory and in place,
/// unless somebody else holds the state.
pub struct Run<'a> {
    denoiser: &'a dyn Denoiser,
    grid: &'a [NoiseLevel],
    index: usize,
    x: Tensor,
    /// The estimate at the state, where it is known already.
    known: Option<Tensor>,
    /// The level at which the denoiser was asked last, for errors.
    asked: Cell<NoiseLevel>,
    noise: Noise,
    fresh: Option<Tensor>,
    drawn: usize,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        denoiser: &'a dyn Denoiser,
        x: Tensor,
        grid: &'a Grid,
        noise: Noise,
    ) -> Result<Self> {
        Self::along(denoiser, x, grid.levels(), noise)
    }

    /// A run along levels in any order: upwards too.
    pub(crate) fn along(
        denoiser: &'a dyn Denoiser,
        x: Tensor,
        grid: &'a [NoiseLevel],
        noise: Noise,
    ) -> Result<Self> {
        if !matches!(x.kind(), Kind::Float | Kind::Double) {
            return Err(Error::invalid(
                "the kind of x",
                format!("{:?}", x.kind()),
                "Float or Double",
            ));
        }
        if x.dim() == 0 {
            return Err(Error::shape("x", "[batch, …]", &x.size()));
        }
        let x = x.detach();
        let asked = Cell::new(grid[0]);
        Ok(Run { denoiser, grid, index: 0, x, known: None, asked, noise, fresh: None, drawn: 0 })
    }

    /// The number of the step, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many steps the whole run has.
    pub fn steps(&self) -> usize {
        self.grid.len() - 1
    }

    /// The level that the state is at.
    pub fn level(&self) -> NoiseLevel {
        self.grid[self.index]
    }

    /// The level at which the step is to end.
    pub fn next_level(&self) -> NoiseLevel {
        self.grid[self.index + 1]
    }

    /// The state, `[batch, …]`.
    pub fn x(&self) -> &Tensor {
        &self.x
    }

    /// The estimate of the clean data from the state at its level.
    pub fn denoise(&self) -> Result<Tensor> {
        match &self.known {
            Some(x0) => Ok(x0.shallow_clone()),
            None => self.denoise_at(&self.x, self.level()),
        }
    }

    /// Makes `x0` the answer of [`denoise`](Self::denoise) until the state changes: for correctors,
    /// which move the state and keep the estimate.
    pub fn assume(&mut self, x0: &Tensor) {
        self.known = Some(x0.shallow_clone());
    }

    /// The estimate of the clean data from another tensor of the state's shape.
    pub fn denoise_at(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        self.asked.set(level);
        let x0 = self.denoiser.denoise(x, level)?;
        check_answer(&x0, x)?;
        Ok(x0)
    }

    /// The levels from the present one to the end.
    pub fn levels_ahead(&self) -> &'a [NoiseLevel] {
        &self.grid[self.index..]
    }

    /// The estimates from several tensors of the state's shape, each at a level of its own, in one
    /// call: see [`Denoiser::denoise_each`].
    pub fn denoise_each(&self, xs: &[&Tensor], levels: &[NoiseLevel]) -> Result<Vec<Tensor>> {
        if xs.is_empty() || xs.len() != levels.len() {
            return Err(Error::invalid("the number of levels", levels.len(), "one a tensor"));
        }
        self.asked.set(levels[0]);
        let batch = self.x.size()[0];
        let x = Tensor::cat(xs, 0);
        let each = |level: &NoiseLevel| std::iter::repeat_n(*level, batch as usize);
        let levels: Vec<NoiseLevel> = levels.iter().flat_map(each).collect();
        let x0 = self.denoiser.denoise_each(&x, &levels)?;
        check_answer(&x0, &x)?;
        Ok((0..xs.len() as i64).map(|i| x0.narrow(0, i * batch, batch)).collect())
    }

    /// `x ← a·x + Σ cᵢ·tᵢ + noise·z`, with `z` standard normal: drawn unless its factor is 0.
    ///
    /// The first noise of a step is that of the way from its level to the next, later ones stand for
    /// themselves; a solver that draws for other ways says so with [`draw`](Self::draw).
    pub fn advance(&mut self, a: f64, terms: &[(f64, &Tensor)], noise: f64) -> Result<()> {
        self.known = None;
        let finite = if noise == 0.0 {
            fused::combine(&mut self.x, a, terms)?
        } else {
            let way = (self.drawn == 0).then(|| (self.level(), self.next_level()));
            let draw = self.next_draw(way);
            let z = self.noise.at(draw, &self.x, &mut self.fresh)?;
            let terms: Vec<_> = terms.iter().copied().chain([(noise, z)]).collect();
            fused::combine(&mut self.x, a, &terms)?
        };
        if finite { Ok(()) } else { Err(self.not_finite()) }
    }

    /// Standard normal noise in the state's shape, in `out`'s own memory where it may be used.
    ///
    /// `between` is the way that it is for, from one level to another (see [`Noise::brownian`]);
    /// `None` for noise that has no place on the way, as in Langevin steps.
    pub fn draw<'o>(
        &mut self,
        out: &'o mut Option<Tensor>,
        between: Option<(NoiseLevel, NoiseLevel)>,
    ) -> Result<&'o Tensor> {
        let draw = self.next_draw(between);
        self.noise.at(draw, &self.x, out)
    }

    fn next_draw(&mut self, between: Option<(NoiseLevel, NoiseLevel)>) -> Draw {
        self.drawn += 1;
        Draw { step: self.index, nth: self.drawn - 1, between }
    }

    /// `out ← Σ cᵢ·tᵢ`, in `out`'s own memory where it may be used: a solver's scratch or history.
    pub fn combine<'o>(
        &self,
        out: &'o mut Option<Tensor>,
        terms: &[(f64, &Tensor)],
    ) -> Result<&'o Tensor> {
        if fused::combine_into(out, terms)? {
            out.as_ref().ok_or_else(|| Error::invalid("terms", "empty", "at least one"))
        } else {
            Err(self.not_finite())
        }
    }

    pub(crate) fn replace(&mut self, x: Tensor) -> Result<()> {
        if x.size() != self.x.size() || x.kind() != self.x.kind() {
            let expected = format!("{:?} of {:?}", self.x.size(), self.x.kind());
            return Err(Error::shape("the state to go on from", expected, &x.size()));
        }
        self.known = None;
        self.x = x;
        Ok(())
    }

    /// `t ← a·t + Σ cᵢ·tᵢ` for a tensor that is not the state, such as a second one.
    pub(crate) fn update(&self, t: &mut Tensor, a: f64, terms: &[(f64, &Tensor)]) -> Result<()> {
        if fused::combine(t, a, terms)? { Ok(()) } else { Err(self.not_finite()) }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.index + 1 >= self.grid.len()
    }

    pub(crate) fn remaining(&self) -> usize {
        self.grid.len() - 1 - self.index
    }

    pub(crate) fn stop(&mut self) {
        self.index = self.grid.len() - 1;
    }

    pub(crate) fn finish_step(&mut self) -> Result<()> {
        // On a GPU looking at the numbers means waiting for them, so that is done once.
        let last = self.remaining() == 1;
        if last && !self.x.device().eq(&tch::Device::Cpu) && !tensor::all_finite(&self.x)? {
            return Err(self.not_finite());
        }
        self.index += 1;
        self.drawn = 0;
        Ok(())
    }

    pub(crate) fn into_x(self) -> Tensor {
        self.x
    }

    fn not_finite(&self) -> Error {
        Error::NonFinite { what: "the state", step: self.index, level: self.asked.get() }
    }
}

fn check_answer(x0: &Tensor, x: &Tensor) -> Result<()> {
    if x0.size() == x.size() {
        return Ok(());
    }
    Err(Error::shape("the denoiser's answer", format!("{:?}", x.size()), &x0.size()))
}
