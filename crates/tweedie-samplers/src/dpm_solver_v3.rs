//! DPM-Solver-v3.

use crate::euler::euler_step;
use crate::integrals::{lagrange_of, quadrature};
use crate::multistep::{check_order, has_lambdas, past_used};
use crate::{NormalData, Run, Sampler, Solver, Statistics, history::History};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::{Grid, NoiseLevel, Result};

/// DPM-Solver-v3 (arXiv:2310.13268): a multistep solver for the part of the ODE that a model's
/// statistics do not foretell. With `y = x/alpha` and `f = (1 − l)·y − x0` the ODE is
///
/// ```text
/// dy/dλ = −l·y − f        g = e^(−∫s)·f − ∫ e^(−∫s)·b dλ
/// y' = e^(−∫l)·[y − ∫ e^(∫l + ∫s)·(g + ∫ e^(−∫s)·b dλ) dλ]        (eqs. 7 to 9, integrals from λ)
/// ```
///
/// and the polynomial in `λ` through the last values of `g` is integrated exactly. `l = 1`, `s = b = 0`
/// is DPM-Solver++, `l = b = 0`, `s = −1` DPM-Solver; [`NormalData`] needs no measurements, and
/// [`EmpiricalStatistics`](crate::EmpiricalStatistics) are a model's own.
///
/// Of order `order`, with the corrector one more. One evaluation a step. It begins with lower orders;
/// a step to no noise or from `alpha = 0` is Euler's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmSolverV3<S> {
    /// From 1 to 3.
    pub order: usize,
    /// Whether each step's end is worked out anew with the estimate there, as UniPC does, at no
    /// more evaluations; not the last.
    pub corrector: bool,
    /// What is known of the model.
    pub statistics: S,
}

impl<S: Default> Default for DpmSolverV3<S> {
    /// Order 3 without the corrector.
    fn default() -> Self {
        DpmSolverV3 { order: 3, corrector: false, statistics: S::default() }
    }
}

/// [`DpmSolverV3`] that needs no measurements: the one of the list.
pub type DpmSolverV3Normal = DpmSolverV3<NormalData>;

impl<S: Statistics + Clone + Send + 'static> Sampler for DpmSolverV3<S> {
    fn solver(&self) -> Result<Solver> {
        check_order(self.order, 3)?;
        self.statistics.check()?;
        let mut state = State {
            order: self.order,
            statistics: self.statistics.clone(),
            past: History::new(if self.corrector { self.order } else { self.order - 1 }),
            start: None,
            used: 0,
            ones: None,
        };
        let corrector = self.corrector;
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            if corrector {
                state.correct(run, &x0)?;
            }
            state.predict(run, &x0, corrector)?;
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}

struct State<S> {
    order: usize,
    statistics: S,
    /// Values of `f`.
    past: History,
    /// Where the last step began, and how many values before it the step used.
    start: Option<Tensor>,
    used: usize,
    ones: Option<Tensor>,
}

impl<S: Statistics> State<S> {
    fn predict(&mut self, run: &mut Run<'_>, x0: &Tensor, corrector: bool) -> Result<()> {
        let (from, to) = (run.level(), run.next_level());
        if !has_lambdas(from, to) {
            return euler_step(run, x0);
        }
        if corrector && run.remaining() > 1 {
            run.combine(&mut self.start, &[(1.0, run.x())])?;
        }
        self.used = past_used(run, self.order, self.past.len(), false);
        let past = self.past.levels().take(self.used);
        let plan = Plan::new(&self.statistics, [from, to], [from].into_iter().chain(past));
        // Here f = (1 − l)·x/alpha − x0 is not there as a tensor.
        let kept = (1.0 - self.statistics.l(from.lambda())) / from.alpha;
        self.past.prepare(run, &[(kept, run.x()), (-1.0, x0)])?;
        let out = to.alpha * plan.keep;
        let older: Vec<f64> = plan.weights[1..].iter().map(|w| -out * w).collect();
        let mut terms = self.past.weighted(&older);
        terms.push((out * plan.weights[0], x0));
        constant(&mut self.ones, run.x(), out * plan.constant, &mut terms)?;
        run.advance(out * (1.0 / from.alpha - plan.weights[0] * kept), &terms, 0.0)?;
        self.past.push_prepared(from);
        Ok(())
    }

    /// The state once more, with the estimate where the last step ended.
    fn correct(&mut self, run: &mut Run<'_>, x0: &Tensor) -> Result<()> {
        let to = run.level();
        let levels: Vec<NoiseLevel> = self.past.levels().take(self.used + 1).collect();
        let (Some(&from), Some(start)) = (levels.first(), &self.start) else {
            return Ok(());
        };
        let nodes = [from, to].into_iter().chain(levels[1..].iter().copied());
        let plan = Plan::new(&self.statistics, [from, to], nodes);
        let kept = (1.0 - self.statistics.l(to.lambda())) / to.alpha;
        let out = to.alpha * plan.keep;
        let weights = [plan.weights[0]].into_iter().chain(plan.weights[2..].iter().copied());
        let weights: Vec<f64> = weights.map(|w| -out * w).collect();
        let mut terms = self.past.weighted(&weights);
        terms.extend([(out / from.alpha, start), (out * plan.weights[1], x0)]);
        constant(&mut self.ones, run.x(), out * plan.constant, &mut terms)?;
        run.advance(-out * plan.weights[1] * kept, &terms, 0.0)
    }
}

/// Adds a number to all elements: `value` times a tensor of ones.
fn constant<'t>(
    ones: &'t mut Option<Tensor>,
    like: &Tensor,
    value: f64,
    terms: &mut Vec<(f64, &'t Tensor)>,
) -> Result<()> {
    if value != 0.0 {
        if ones.is_none() {
            *ones = Some(like.f_ones_like().map_err(tweedie_torch::Error::from)?);
        }
        terms.extend(ones.as_ref().map(|ones| (value, ones)));
    }
    Ok(())
}

/// A step `y' = keep·[y − Σ weightⱼ·fⱼ + constant]`.
struct Plan {
    keep: f64,
    weights: Vec<f64>,
    constant: f64,
}

impl Plan {
    /// From one level to another, through values of `f` at `nodes`.
    fn new(
        statistics: &impl Statistics,
        [from, to]: [NoiseLevel; 2],
        nodes: impl Iterator<Item = NoiseLevel>,
    ) -> Self {
        let (start, end) = (from.lambda(), to.lambda());
        let nodes: Vec<f64> = nodes.map(NoiseLevel::lambda).collect();
        // S and E of the paper: integrals from the start of the step.
        let s = |at: f64| statistics.integral_s(start, at);
        let e = |at: f64| (statistics.integral_l(start, at) + s(at)).exp();
        let places = places(statistics, start, end);
        let moment = |k: usize| -> f64 {
            let f = |r: f64| e(r) * (r - start).powi(k as i32);
            places.windows(2).map(|p| quadrature(p[0], p[1], f)).sum()
        };
        let moments: Vec<f64> = (0..nodes.len()).map(moment).collect();
        let offsets: Vec<f64> = nodes.iter().map(|at| at - start).collect();
        let of_g = lagrange_of(&moments, &offsets);
        let constant = match statistics.has_no_b() {
            true => 0.0,
            false => {
                let of_b = |(w, at): (&f64, &f64)| w * b_from(statistics, start, *at, |_| 0.0).0;
                let of_b: f64 = of_g.iter().zip(&nodes).map(of_b).sum();
                of_b - b_from(statistics, start, end, e).1
            }
        };
        Plan {
            keep: (-statistics.integral_l(start, end)).exp(),
            weights: of_g.iter().zip(&nodes).map(|(w, at)| w * (-s(*at)).exp()).collect(),
            constant,
        }
    }
}

/// `B` of the paper at `to`, `∫ e^(−S)·b dλ` from `start`, and `∫ e·B dλ` over the same way.
fn b_from(statistics: &impl Statistics, start: f64, to: f64, e: impl Fn(f64) -> f64) -> (f64, f64) {
    let integrand = |r: f64| (-statistics.integral_s(start, r)).exp() * statistics.b(r);
    let mut sums = (0.0, 0.0);
    for p in places(statistics, start, to).windows(2) {
        let so_far = sums.0;
        let b = |r: f64| so_far + quadrature(p[0], r, integrand);
        sums.1 += quadrature(p[0], p[1], |r| e(r) * b(r));
        sums.0 = b(p[1]);
    }
    sums
}

/// The way from one lambda to another, in either direction, cut at the knots of the statistics.
fn places(statistics: &impl Statistics, from: f64, to: f64) -> Vec<f64> {
    let mut knots = statistics.knots(from.min(to), from.max(to));
    if to < from {
        knots.reverse();
    }
    [vec![from], knots, vec![to]].concat()
}
