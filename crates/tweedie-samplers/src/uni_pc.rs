//! UniPC.

use crate::integrals::{Weight, lagrange};
use crate::multistep::{check_order, has_lambdas, past_used, x0_step, x0_weights};
use crate::{Run, Sampler, Solver, history::History};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::{Grid, NoiseLevel, Result};

/// UniPC (arXiv:2302.04867, Algorithm 1): a multistep step ([`UniP`]) that is corrected by the data
/// estimate at its end ([`UniC`]), which the next step needs anyway. On the data estimate as a
/// function of lambda.
/// UniPC-p is of order p + 1. One evaluation a step; the last step is not corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UniPc {
    /// p, from 1 to 3.
    pub order: usize,
    /// `B(h)`.
    pub b: BFunction,
    /// Compatibility with diffusers and the paper's code, whose default it is: the last steps fall
    /// to orders 2 and 1, whatever the number of steps.
    pub lower_order_final: bool,
}

/// `B(h)` of UniPC, which is any function like `h + O(h²)`. It matters to UniP-2 and UniC-1 only,
/// whose coefficient the paper rounds to ½; the others are the exact integral for every `B`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BFunction {
    /// `B₁(h) = h`.
    B1,
    /// `B₂(h) = e^h − 1`, of `−h` for the data estimate.
    #[default]
    B2,
}

impl BFunction {
    fn of(self, h: f64) -> f64 {
        match self {
            BFunction::B1 => h,
            BFunction::B2 => -(-h).exp_m1(),
        }
    }
}

impl Default for UniPc {
    fn default() -> Self {
        UniPc { order: 2, b: BFunction::default(), lower_order_final: false }
    }
}

impl UniPc {
    fn parts(self) -> UniC<UniP> {
        let UniPc { order, b, lower_order_final } = self;
        UniC { predictor: UniP { order, b, lower_order_final }, order, b, lower_order_final }
    }
}

impl Sampler for UniPc {
    fn solver(&self) -> Result<Solver> {
        self.parts().solver()
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}

/// The predictor alone: UniP-p (Section 3.3 of the paper), of order p. It begins with the lower
/// orders; a step to no noise is Euler's. One evaluation a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UniP {
    /// p, from 1 to 3.
    pub order: usize,
    /// `B(h)`.
    pub b: BFunction,
    /// See [`UniPc::lower_order_final`].
    pub lower_order_final: bool,
}

impl Sampler for UniP {
    fn solver(&self) -> Result<Solver> {
        check_order(self.order, 3)?;
        let this = *self;
        let mut past = History::new(this.order - 1);
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            let used = past_used(run, this.order, past.len(), this.lower_order_final);
            let levels = past.levels().take(used).take_while(|level| level.alpha > 0.0);
            let weights = this.weights(run.level(), run.next_level(), levels.collect());
            x0_step(run, &x0, &past.weighted(&weights))?;
            past.push(run.level(), &x0);
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}

impl UniP {
    fn weights(self, from: NoiseLevel, to: NoiseLevel, past: Vec<NoiseLevel>) -> Vec<f64> {
        match past[..] {
            [last] if has_lambdas(from, to) => {
                let h = to.lambda() - from.lambda();
                let r = (last.lambda() - from.lambda()) / h;
                vec![self.b.of(h) / (2.0 * r)]
            }
            _ => x0_weights(from, to, past.into_iter()),
        }
    }
}

/// The corrector UniC-p (Section 3.2) on top of another sampler: raises its order to p + 1 where
/// it is p, without another evaluation. Each step's end is worked out anew from its start and the
/// data estimates of the last steps and of the predicted end.
///
/// The predictor must be deterministic and begin every step by asking the denoiser at the state,
/// as all here do but the adaptive ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UniC<S> {
    /// What makes the steps that are corrected.
    pub predictor: S,
    /// p, from 1 to 3.
    pub order: usize,
    /// `B(h)`, of UniC-1.
    pub b: BFunction,
    /// See [`UniPc::lower_order_final`].
    pub lower_order_final: bool,
}

impl<S: Sampler> Sampler for UniC<S> {
    fn solver(&self) -> Result<Solver> {
        check_order(self.order, 3)?;
        let (order, b, lower_order_final) = (self.order, self.b, self.lower_order_final);
        let mut predictor = self.predictor.solver()?;
        let mut past = History::new(order);
        let (mut start, mut used) = (None, 0);
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            if let Some(start) = start.as_ref().filter(|_| run.index() > 0) {
                correct(run, b, start, &x0, &past, used)?;
            }
            run.assume(&x0); // also for the predictor, which asks again
            if run.remaining() > 1 {
                run.combine(&mut start, &[(1.0, run.x())])?;
            }
            used = past_used(run, order, past.len(), lower_order_final);
            past.push(run.level(), &x0);
            drop(predictor(run)?);
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        self.predictor.evaluations(grid)
    }
}

/// Works the state out from `start`, that of the last step, with the estimates there and before
/// (`used` of them) and with `x0`, that at the state as it was predicted (eq. 9 of the paper).
fn correct(
    run: &mut Run<'_>,
    b: BFunction,
    start: &Tensor,
    x0: &Tensor,
    past: &History,
    used: usize,
) -> Result<()> {
    let to = run.level();
    let levels: Vec<NoiseLevel> =
        past.levels().take(used + 1).take_while(|level| level.alpha > 0.0).collect();
    let Some(from) = levels.first().copied() else {
        return Ok(()); // From alpha = 0 there is no line in lambda.
    };
    let offset = |level: NoiseLevel| level.lambda() - from.lambda();
    let h = offset(to);
    let nodes: Vec<f64> =
        [0.0, h].into_iter().chain(levels[1..].iter().map(|l| offset(*l))).collect();
    let weights = match nodes.len() {
        2 => vec![b.of(h) / 2.0],
        _ => lagrange(Weight::Rising, h, &nodes).split_off(1),
    };
    let keep = to.sigma / from.sigma;
    let sum: f64 = weights.iter().sum();
    // The first estimate has what is left of Euler's weight.
    let first = to.alpha - keep * from.alpha - to.alpha * sum;
    let older = [first].into_iter().chain(weights[1..].iter().map(|w| to.alpha * w));
    let mut terms = past.weighted(&older.collect::<Vec<_>>());
    terms.extend([(keep, start), (to.alpha * weights[0], x0)]);
    run.advance(0.0, &terms, 0.0)
}
