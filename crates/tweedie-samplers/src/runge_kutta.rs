//! Explicit Runge–Kutta methods on the probability-flow ODE.

use crate::{Frame, Run};
use tch::Tensor;
use tweedie_core::{NoiseLevel, Result};

/// A Butcher tableau: stage `i` is at `s + c[i]·h`, from the slopes before it weighted by `a[i]`;
/// the step takes the slopes weighted by `b`.
pub(crate) struct Tableau<'a> {
    pub(crate) c: &'a [f64],
    pub(crate) a: &'a [&'a [f64]],
    pub(crate) b: &'a [f64],
}

/// The buffers of a method's stages.
#[derive(Default)]
pub(crate) struct Stages {
    x: Option<Tensor>,
    slopes: Vec<Option<Tensor>>,
}

impl Stages {
    /// Slope `i`, `dy/ds = (y − x0)/s`, of the state `x` at `level`.
    fn set_slope(
        slopes: &mut Vec<Option<Tensor>>,
        run: &Run<'_>,
        (i, frame): (usize, Frame),
        (x, level, x0): (&Tensor, NoiseLevel, &Tensor),
    ) -> Result<()> {
        if slopes.len() <= i {
            slopes.resize_with(i + 1, || None);
        }
        // y/s = x/sigma
        run.combine(&mut slopes[i], &[(1.0 / level.sigma, x), (-1.0 / frame.time(level), x0)])?;
        Ok(())
    }

    /// The first slope: of the run's state, which is at `from` and has the estimate `x0` there.
    pub(crate) fn begin(
        &mut self,
        run: &Run<'_>,
        frame: Frame,
        from: NoiseLevel,
        x0: &Tensor,
    ) -> Result<()> {
        Self::set_slope(&mut self.slopes, run, (0, frame), (run.x(), from, x0))
    }

    /// The other slopes of a step between two levels, from the run's state at the first; returns
    /// the last stage's estimate.
    pub(crate) fn evaluate(
        &mut self,
        run: &Run<'_>,
        frame: Frame,
        tableau: &Tableau<'_>,
        (from, to): (NoiseLevel, NoiseLevel),
    ) -> Result<Option<Tensor>> {
        let (s, h) = (frame.time(from), frame.time(to) - frame.time(from));
        let mut last = None;
        for (i, (c, row)) in tableau.c.iter().zip(tableau.a).enumerate().skip(1) {
            let level = if *c == 1.0 { to } else { frame.level(s + c * h, from, to) };
            let terms = weighted(&self.slopes, row, h / frame.scale(level));
            let start = (frame.scale(from) / frame.scale(level), run.x());
            let terms: Vec<_> = [start].into_iter().chain(terms).collect();
            let x = run.combine(&mut self.x, &terms)?;
            let x0 = run.denoise_at(x, level)?;
            Self::set_slope(&mut self.slopes, run, (i, frame), (x, level, &x0))?;
            last = Some(x0);
        }
        Ok(last)
    }

    /// The slopes with their weights times `factor`; those without weight are left out.
    pub(crate) fn terms(&self, weights: &[f64], factor: f64) -> Vec<(f64, &Tensor)> {
        weighted(&self.slopes, weights, factor)
    }

    /// The state of the last stage.
    pub(crate) fn last_x(&self) -> Option<&Tensor> {
        self.x.as_ref()
    }

    /// `y' = y + h·Σ bᵢ·kᵢ`: brings the run's state from one level to the other.
    pub(crate) fn advance(
        &self,
        run: &mut Run<'_>,
        frame: Frame,
        b: &[f64],
        (from, to): (NoiseLevel, NoiseLevel),
    ) -> Result<()> {
        let (k, k_to) = (frame.scale(from), frame.scale(to));
        let h = frame.time(to) - frame.time(from);
        run.advance(k / k_to, &self.terms(b, h / k_to), 0.0)
    }

    /// The last slope becomes the first of the next step ("first same as last").
    pub(crate) fn reuse_last(&mut self, stages: usize) {
        self.slopes.swap(0, stages - 1);
    }
}

fn weighted<'s>(
    slopes: &'s [Option<Tensor>],
    weights: &[f64],
    factor: f64,
) -> Vec<(f64, &'s Tensor)> {
    let terms = weights.iter().zip(slopes.iter().flatten()).map(|(w, slope)| (factor * w, slope));
    terms.filter(|(w, _)| *w != 0.0).collect()
}

/// A whole step of a method from the run's level to its next; `x0` is the estimate at the first.
pub(crate) fn step(
    run: &mut Run<'_>,
    frame: Frame,
    tableau: &Tableau<'_>,
    x0: &Tensor,
    stages: &mut Stages,
) -> Result<()> {
    let ends = (run.level(), run.next_level());
    stages.begin(run, frame, ends.0, x0)?;
    stages.evaluate(run, frame, tableau, ends)?;
    stages.advance(run, frame, tableau.b, ends)
}
