//! SA-Solver.

use crate::{Run, Sampler, Solver};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use tch::Tensor;
use tweedie_core::{Error, Grid, NoiseLevel, Result};

/// SA-Solver (arXiv:2309.05019): a stochastic Adams method for the family of SDEs with noise `tau`,
/// from the ODE (0) over the reverse SDE (1) and beyond, in which `tau` may depend on the level.
/// Predictor and corrector of the paper's §4 with predictions of the data; one evaluation a step,
/// since the corrector uses the one that the next predictor needs.
///
/// With `κ = 1 + tau²`, `h` the step in `λ`, and `ℓᵢ` the Lagrange polynomials of the estimates,
///
/// ```text
/// x'/alpha' = (s'/s)·e^(−tau²h)·x/alpha + Σ x0ᵢ·∫ κ·e^(−κμ)·ℓᵢ(μ) dμ + s'·√(1 − e^(−2tau²h))·z
/// ```
///
/// Orders are lower at the start, where fewer estimates are known. A step to no noise is the estimate
/// itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SaSolver {
    /// Estimates that the predictor uses, 1 to 4.
    pub predictor_order: usize,
    /// Estimates that the corrector uses, 1 to 4; 0 for none.
    pub corrector_order: usize,
    /// The noise where `s_min <= sigma/alpha <= s_max`; none elsewhere.
    pub tau: f64,
    /// The least noise ratio with noise …
    pub s_min: f64,
    /// … and the most; no bound, infinity, where it is left out.
    #[serde(skip_serializing_if = "is_infinite")]
    pub s_max: f64,
    /// Compatibility with diffusers, whose default it is: orders fall to 1 towards the last step,
    /// wherever the grid ends.
    pub lower_order_final: bool,
}

/// JSON has no infinity, so the default is left out.
fn is_infinite(value: &f64) -> bool {
    value.is_infinite()
}

impl Default for SaSolver {
    /// Predictor and corrector of order 2 and `tau = 1`, as in diffusers, on the whole way.
    fn default() -> Self {
        SaSolver {
            predictor_order: 2,
            corrector_order: 2,
            tau: 1.0,
            s_min: 0.0,
            s_max: f64::INFINITY,
            lower_order_final: false,
        }
    }
}

/// A step that was predicted, as the corrector needs it: `x'/alpha' = keep·x/alpha + … + noise·z`.
struct Predicted {
    from: NoiseLevel,
    kappa: f64,
}

#[derive(Default)]
struct Memory {
    /// Estimates with their `λ`, the latest first.
    known: VecDeque<(Tensor, f64)>,
    /// The state and the noise of the last step.
    x: Option<Tensor>,
    z: Option<Tensor>,
    predicted: Option<Predicted>,
}

impl SaSolver {
    fn check(&self) -> Result<()> {
        let orders = [
            ("predictor_order", self.predictor_order, 1),
            ("corrector_order", self.corrector_order, 0),
        ];
        for (what, order, least) in orders {
            if !(least..=4).contains(&order) {
                return Err(Error::invalid(what, order, format!("from {least} to 4")));
            }
        }
        if !self.tau.is_finite() || self.tau < 0.0 {
            return Err(Error::invalid("tau", self.tau, "a finite number of at least 0"));
        }
        if self.s_min.is_nan() || self.s_max.is_nan() {
            return Err(Error::invalid("the interval of tau", "NaN", "two numbers"));
        }
        Ok(())
    }

    /// The order with `left` steps to go.
    fn at_most(&self, order: usize, left: usize) -> usize {
        if self.lower_order_final { order.min(left) } else { order }
    }

    fn kappa(&self, level: NoiseLevel) -> f64 {
        let within = self.s_min <= level.ratio() && level.ratio() <= self.s_max;
        1.0 + if within { self.tau.powi(2) } else { 0.0 }
    }

    fn step(&self, run: &mut Run<'_>, memory: &mut Memory) -> Result<Tensor> {
        let x0 = run.denoise()?;
        let (level, left) = (run.level(), run.steps() - run.index());
        if let Some(Predicted { from, kappa }) = memory.predicted.take() {
            let order = self.at_most(self.corrector_order, left + 2).min(memory.known.len() + 1);
            let mut known = vec![(&x0, level.lambda())];
            known.extend(memory.known.iter().map(|(t, l)| (t, *l)));
            let terms = step_terms(from, level, kappa, &known[..order]);
            let old = memory.x.as_ref().map(|x| (keep(from, level, kappa), x));
            let z = memory.z.as_ref().map(|z| (noise(from, level, kappa), z));
            let all: Vec<_> = terms.into_iter().chain(old).chain(z).collect();
            run.advance(0.0, &all, 0.0)?;
        }
        if level.alpha > 0.0 {
            memory.known.push_front((x0.shallow_clone(), level.lambda()));
            memory.known.truncate(self.predictor_order.max(self.corrector_order.saturating_sub(1)));
        }
        self.predict(run, memory, &x0, left)?;
        Ok(x0)
    }

    fn predict(
        &self,
        run: &mut Run<'_>,
        memory: &mut Memory,
        x0: &Tensor,
        left: usize,
    ) -> Result<()> {
        let (from, to, kappa) = (run.level(), run.next_level(), self.kappa(run.level()));
        let noise = noise(from, to, kappa);
        let correct = self.corrector_order > 0 && left > 1 && from.alpha > 0.0;
        if correct {
            run.combine(&mut memory.x, &[(1.0, run.x())])?;
            memory.predicted = Some(Predicted { from, kappa });
        }
        if noise == 0.0 {
            memory.z = None;
        } else {
            run.draw(&mut memory.z, Some((from, to)))?;
        }
        let order = match to.is_clean() || from.alpha == 0.0 {
            true => 1,
            false => self.at_most(self.predictor_order, left).min(memory.known.len()),
        };
        let known: Vec<_> = match order {
            1 => vec![(x0, from.lambda())],
            _ => memory.known.iter().take(order).map(|(t, l)| (t, *l)).collect(),
        };
        let mut terms = step_terms(from, to, kappa, &known);
        terms.extend(memory.z.as_ref().map(|z| (noise, z)));
        run.advance(keep(from, to, kappa), &terms, 0.0)
    }
}

/// The factor of `x`: `(sigma'/sigma)·e^(−tau²h)`.
fn keep(from: NoiseLevel, to: NoiseLevel, kappa: f64) -> f64 {
    to.sigma / from.sigma * (to.ratio() / from.ratio()).powf(kappa - 1.0)
}

/// The factor of the noise: `sigma'·√(1 − e^(−2tau²h))`.
fn noise(from: NoiseLevel, to: NoiseLevel, kappa: f64) -> f64 {
    let shrink = (to.ratio() / from.ratio()).powf(kappa - 1.0);
    to.sigma * (1.0 - shrink.powi(2)).max(0.0).sqrt()
}

/// The estimates with their weights `alpha'·∫₀ʰ κ·e^(−κμ)·ℓᵢ(μ) dμ`, with `μ = λ' − λ`.
fn step_terms<'t>(
    from: NoiseLevel,
    to: NoiseLevel,
    kappa: f64,
    known: &[(&'t Tensor, f64)],
) -> Vec<(f64, &'t Tensor)> {
    if let [(x0, _)] = known {
        return vec![(to.alpha * (1.0 - (to.ratio() / from.ratio()).powf(kappa)), x0)];
    }
    let h = to.lambda() - from.lambda();
    let at: Vec<f64> = known.iter().map(|(_, lambda)| to.lambda() - lambda).collect();
    let mut weights = lagrange_weights(kappa, h, &at);
    if let [near, far] = at[..] {
        // The paper's appendix and its code: with two estimates the slope's weight is κ·h²/2, its first
        // term, which changes nothing in the order and does better with few steps.
        let slope = (kappa * h - 1.0 + (-kappa * h).exp()) / kappa;
        let more = (kappa * h * h / 2.0 - slope) / (far - near);
        weights[0] += more;
        weights[1] -= more;
    }
    known.iter().zip(weights).map(|((t, _), w)| (to.alpha * w, *t)).collect()
}

/// `∫₀ʰ κ·e^(−κμ)·ℓᵢ(μ) dμ` for the Lagrange polynomials of the nodes `at`.
fn lagrange_weights(kappa: f64, h: f64, at: &[f64]) -> Vec<f64> {
    let moments: Vec<f64> = (0..at.len()).map(|k| moment(kappa, h, k)).collect();
    let weight = |i: usize| {
        let mut polynomial = vec![1.0];
        for (j, node) in at.iter().enumerate().filter(|(j, _)| *j != i) {
            let scale = 1.0 / (at[i] - at[j]);
            let mut next = vec![0.0; polynomial.len() + 1];
            for (k, c) in polynomial.iter().enumerate() {
                next[k] -= c * node * scale;
                next[k + 1] += c * scale;
            }
            polynomial = next;
        }
        polynomial.iter().zip(&moments).map(|(c, m)| c * m).sum()
    };
    (0..at.len()).map(weight).collect()
}

/// `∫₀ʰ κ·e^(−κμ)·μᵏ dμ`: by parts, or by its series where that would cancel.
fn moment(kappa: f64, h: f64, k: usize) -> f64 {
    let x = kappa * h;
    if x > 1.0 {
        let decay = (-x).exp();
        return (1..=k).fold(1.0 - decay, |m, j| j as f64 / kappa * m - h.powi(j as i32) * decay);
    }
    // Σⱼ (−x)ʲ/j! · κ·h^(k+1)/(k + j + 1)
    let (mut term, mut sum) = (kappa * h.powi(k as i32 + 1), 0.0);
    for j in 0..40 {
        sum += term / (k + j + 1) as f64;
        term *= -x / (j + 1) as f64;
    }
    sum
}

impl Sampler for SaSolver {
    fn solver(&self) -> Result<Solver> {
        self.check()?;
        let this = *self;
        let mut memory = Memory::default();
        Ok(Box::new(move |run| this.step(run, &mut memory)))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_integrals() {
        for (kappa, h) in [(1.0, 0.2), (2.0, 0.49), (2.0, 0.51), (1.25, 3.0)] {
            for k in 0..4 {
                let n = 100_000;
                let at = |i: i32| (f64::from(i) + 0.5) * h / f64::from(n);
                let sum: f64 =
                    (0..n).map(|i| kappa * (-kappa * at(i)).exp() * at(i).powi(k as i32)).sum();
                let integral = sum * h / f64::from(n);
                assert!((moment(kappa, h, k) - integral).abs() < 1e-9, "{kappa} {h} {k}");
            }
        }
        let sum: f64 = lagrange_weights(2.0, 0.3, &[0.3, 0.5, 0.9]).iter().sum();
        assert!((sum - (1.0 - (-0.6_f64).exp())).abs() < 1e-12, "weights of a constant");
    }
}
