//! DPM-Solver++ 2M and 3M.

use crate::multistep::{has_lambdas, paced_weights, past_used, x0_step, x0_weights};
use crate::{Run, Sampler, Solver, history::History};
use serde::{Deserialize, Serialize};
use tweedie_core::{Grid, NoiseLevel, Result};

/// DPM-Solver++(2M) (arXiv:2211.01095, Algorithm 2): Euler's step with the data estimate pushed on
/// along the line through the last two.
/// Order 2, one evaluation a step. The first step, and one to no noise, is Euler's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmPp2M {
    /// How the line enters.
    pub form: SecondOrder,
    /// Compatibility with diffusers, whose default it is: the last step of a run of fewer than 15
    /// is Euler's too, wherever it ends.
    pub lower_order_final: bool,
}

/// Two forms of the second-order term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondOrder {
    /// The line's value in the middle of the step (in lambda): Algorithm 2's.
    #[default]
    Midpoint,
    /// The exact integral of the line: what diffusers calls `heun`.
    Exact,
}

impl Sampler for DpmPp2M {
    fn solver(&self) -> Result<Solver> {
        let this = *self;
        let mut past = History::new(1);
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            let used = past_used(run, 2, past.len(), this.lower_order_final && run.steps() < 15);
            let weights = second_order(this.form, 1.0, run, past.levels().take(used));
            x0_step(run, &x0, &past.weighted(&weights))?;
            past.push(run.level(), &x0);
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}

/// The weight of the last estimate where the state is forgotten `pace` times as fast as by the ODE.
pub(crate) fn second_order(
    form: SecondOrder,
    pace: f64,
    run: &Run<'_>,
    past: impl Iterator<Item = NoiseLevel>,
) -> Vec<f64> {
    let (from, to) = (run.level(), run.next_level());
    match form {
        SecondOrder::Exact => {
            paced_weights(from, to, past.take_while(|level| level.alpha > 0.0), pace, false)
        }
        SecondOrder::Midpoint => past
            .filter(|last| has_lambdas(*last, to))
            .map(|last| {
                let h = to.lambda() - from.lambda();
                let r = (from.lambda() - last.lambda()) / h;
                (-pace * h).exp_m1() / (2.0 * r)
            })
            .collect(),
    }
}

/// DPM-Solver++(3M): the exact integral of the parabola (in lambda) through the last three data
/// estimates in eq. 8 of arXiv:2211.01095.
/// Order 3, one evaluation a step. It begins with orders 1 and 2; a step to no noise is Euler's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmPp3M {
    /// Compatibility with diffusers (and the paper's own code), which take half of the second
    /// difference, where Taylor's formula has it whole, and the midpoint form at order 2: the
    /// whole is of order 2.
    pub half_difference: bool,
    /// Compatibility with diffusers, whose default it is: a run of fewer than 15 steps ends with
    /// orders 2 and 1.
    pub lower_order_final: bool,
}

impl Sampler for DpmPp3M {
    fn solver(&self) -> Result<Solver> {
        let this = *self;
        let mut past = History::new(2);
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            let used = past_used(run, 3, past.len(), this.lower_order_final && run.steps() < 15);
            let levels = past.levels().take(used).take_while(|level| level.alpha > 0.0);
            let weights = this.weights(run, levels.collect());
            x0_step(run, &x0, &past.weighted(&weights))?;
            past.push(run.level(), &x0);
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}

impl DpmPp3M {
    fn weights(self, run: &Run<'_>, past: Vec<NoiseLevel>) -> Vec<f64> {
        let (from, to) = (run.level(), run.next_level());
        match (self.half_difference, past.len()) {
            (true, 1) => second_order(SecondOrder::Midpoint, 1.0, run, past.into_iter()),
            (true, _) => paced_weights(from, to, past.into_iter(), 1.0, true),
            _ => x0_weights(from, to, past.into_iter()),
        }
    }
}
