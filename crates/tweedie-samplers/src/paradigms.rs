//! Parallel sampling.

use crate::{Run, Sampler, Solver};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use tch::{Kind, Tensor};
use tweedie_core::{Error, Grid, NoiseLevel, Result};
use tweedie_torch::fused;

/// ParaDiGMS (arXiv:2305.16317, Algorithm 1): DDIM's steps, many at once. The states of a window of
/// levels are guessed, the denoiser is asked at all of them in one call
/// ([`Denoiser::denoise_each`](tweedie_core::Denoiser::denoise_each)), and from the answers all are
/// worked out anew (Picard iteration), until they change no more. More work in fewer rounds: for
/// hardware that one sample does not fill.
///
/// A state is accepted when the round changed none of those it follows from by more than
/// `tolerance·√(alpha² + sigma²)`, root mean square over a sample's elements. The first after the
/// run's own follows from that alone and always is; so a run takes at most as many rounds as steps,
/// and ends where [`Euler`](crate::Euler) does, up to the tolerance.
///
/// The states of a round follow from the data estimates by DDIM's own step, whose linear part is
/// exact, where the paper adds up whole differences of `x`: the fixed point is the same, and a
/// denoiser that always says the same is done in one round. The paper compares with each step's
/// noise, of which a deterministic step has none.
///
/// A batch shares its rounds, so a sample agrees with itself in another batch within the tolerance
/// only.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Paradigms {
    /// The most levels in a round.
    pub window: usize,
    /// The change that is small enough; 0 for none at all.
    pub tolerance: f64,
}

impl Default for Paradigms {
    /// A window of 32, a tolerance of 1e-3.
    fn default() -> Self {
        Paradigms { window: 32, tolerance: 1e-3 }
    }
}

impl Paradigms {
    fn check(&self) -> Result<Self> {
        if self.window == 0 {
            return Err(Error::invalid("window", 0, "at least 1"));
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            let expected = "a finite number of at least 0";
            return Err(Error::invalid("tolerance", self.tolerance, expected));
        }
        Ok(*self)
    }
}

/// States ahead of the run's own, nearest first.
#[derive(Default)]
struct Ahead {
    /// Those that are accepted, each with the estimate that leads to it.
    ready: VecDeque<(Tensor, Tensor)>,
    /// Those after them.
    guesses: Vec<Tensor>,
    /// The last estimate of the last round.
    last: Option<Tensor>,
}

impl Ahead {
    /// Asks at the run's state and the guesses after it, and works all states out anew.
    fn round(&mut self, run: &Run<'_>, settings: Paradigms) -> Result<()> {
        let levels = run.levels_ahead();
        let steps = settings.window.min(levels.len() - 1);
        let levels = &levels[..=steps];
        self.guess(run.x(), levels)?;
        let asked = [run.x()].into_iter().chain(&self.guesses).collect::<Vec<_>>();
        let estimates = run.denoise_each(&asked, &levels[..steps])?;
        let mut states: Vec<Tensor> = Vec::with_capacity(steps);
        for (pair, x0) in levels.windows(2).zip(&estimates) {
            let next = ddim(states.last().unwrap_or(run.x()), x0, pair[0], pair[1])?;
            states.push(next);
        }
        let accepted = 1 + self
            .changes(&states)?
            .iter()
            .zip(&levels[1..])
            .take_while(|(change, at)| **change <= settings.tolerance * at.alpha.hypot(at.sigma))
            .count();
        self.last = estimates.last().map(Tensor::shallow_clone);
        self.guesses = states.split_off(accepted);
        self.ready = states.into_iter().zip(estimates).collect();
        Ok(())
    }

    /// A guess for each level between the first and the last: those there are, then on from them
    /// with the last estimate, or with none of the data.
    fn guess(&mut self, x: &Tensor, levels: &[NoiseLevel]) -> Result<()> {
        self.guesses.truncate(levels.len() - 2);
        for i in self.guesses.len()..levels.len() - 2 {
            let (from, to) = (levels[i], levels[i + 1]);
            let before = self.guesses.last().unwrap_or(x);
            let next = match &self.last {
                Some(x0) => ddim(before, x0, from, to)?,
                None => scaled(before, to.sigma / from.sigma)?,
            };
            self.guesses.push(next);
        }
        Ok(())
    }

    /// By how much each guess was wrong: root mean square, of the sample where it is most.
    fn changes(&self, states: &[Tensor]) -> Result<Vec<f64>> {
        let change = |(state, guess): (&Tensor, &Tensor)| {
            let squares = (state - guess).square().flatten(1, -1);
            squares.mean_dim(1, false, Kind::Double).amax(0, false)
        };
        let changes: Vec<Tensor> = states.iter().zip(&self.guesses).map(change).collect();
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        Ok(tweedie_torch::tensor::to_f64(&Tensor::stack(&changes, 0).sqrt())?)
    }
}

/// DDIM's step, `x' = alpha'·x0 + sigma'·eps`. What is not finite is seen when its turn comes.
fn ddim(x: &Tensor, x0: &Tensor, from: NoiseLevel, to: NoiseLevel) -> Result<Tensor> {
    let keep = to.sigma / from.sigma;
    combined(&[(keep, x), (to.alpha - keep * from.alpha, x0)])
}

fn scaled(x: &Tensor, by: f64) -> Result<Tensor> {
    combined(&[(by, x)])
}

fn combined(terms: &[(f64, &Tensor)]) -> Result<Tensor> {
    let mut out = None;
    fused::combine_into(&mut out, terms)?;
    out.ok_or_else(|| Error::invalid("terms", "empty", "at least one"))
}

impl Sampler for Paradigms {
    fn solver(&self) -> Result<Solver> {
        let settings = self.check()?;
        let mut ahead = Ahead::default();
        Ok(Box::new(move |run| {
            if ahead.ready.is_empty() {
                ahead.round(run, settings)?;
            }
            let Some((x, x0)) = ahead.ready.pop_front() else {
                return Err(Error::invalid("window", 0, "at least 1"));
            };
            run.advance(0.0, &[(1.0, &x)], 0.0)?;
            Ok(x0)
        }))
    }

    /// Rounds, each of which asks at up to `window` levels in one call: at most as many as steps.
    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }

    fn is_adaptive(&self) -> bool {
        true
    }
}
