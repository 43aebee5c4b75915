//! DEIS.

use crate::integrals::{self, Weight, lagrange};
use crate::multistep::{check_order, past_used, remembering_eps_step};
use crate::{Sampler, Solver, history::History};
use serde::{Deserialize, Serialize};
use tweedie_core::{Grid, NoiseLevel, Result};

/// DEIS (arXiv:2204.13902): the exact integral of the polynomial through the last `order` noise
/// estimates in `x'/alpha' = x/alpha + ∫ eps d rho`, `rho = sigma/alpha` (eqs. 14 and 15).
/// One evaluation a step. It begins with the lower orders; a step from `alpha = 0` is Euler's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deis {
    /// From 1 to 4: one more than the degree `r` of the paper's polynomial. 3 by default.
    pub order: usize,
    /// What the polynomial is one of.
    pub coordinate: Coordinate,
    /// Compatibility with diffusers, whose default it is: a run of fewer than 15 steps ends with
    /// orders 2 and 1.
    pub lower_order_final: bool,
}

/// The variable of DEIS's polynomial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coordinate {
    /// The time of the variance-preserving SDE whose beta rises from 0.1 to 20: tAB-DEIS.
    /// On other paths, the time at which that SDE has the same noise ratio.
    #[default]
    Time,
    /// `rho = sigma/alpha`: rhoAB-DEIS, and [`Lms`](crate::Lms).
    Rho,
    /// `ln rho`: what diffusers has. Order 2 is DPM-Solver's multistep form. A step to no noise is
    /// Euler's.
    LogRho,
}

impl Default for Deis {
    fn default() -> Self {
        Deis { order: 3, coordinate: Coordinate::default(), lower_order_final: false }
    }
}

impl Sampler for Deis {
    fn solver(&self) -> Result<Solver> {
        check_order(self.order, 4)?;
        let this = *self;
        let mut past = History::new(this.order - 1);
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            let lower = this.lower_order_final && run.steps() < 15;
            let used = past_used(run, this.order, past.len(), lower);
            let levels = past.levels().take(used).take_while(|level| level.alpha > 0.0);
            let weights = this.coordinate.weights(run.level(), run.next_level(), levels.collect());
            remembering_eps_step(run, &x0, &mut past, &weights)?;
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}

impl Coordinate {
    /// `∫ Lⱼ d rho` along the step for the estimates at the `past` levels.
    fn weights(self, from: NoiseLevel, to: NoiseLevel, past: Vec<NoiseLevel>) -> Vec<f64> {
        // Towards no noise ln rho has no end, and what a polynomial of it says there is worthless.
        if from.alpha == 0.0 || (self == Coordinate::LogRho && to.sigma == 0.0) {
            return Vec::new();
        }
        let nodes = |of: fn(NoiseLevel) -> f64, origin: f64| -> Vec<f64> {
            [from].iter().chain(&past).map(|level| of(*level) - origin).collect()
        };
        let all = match self {
            Coordinate::Rho => {
                let h = to.ratio() - from.ratio();
                lagrange(Weight::Flat, h, &nodes(NoiseLevel::ratio, from.ratio()))
            }
            Coordinate::LogRho => {
                let h = to.lambda() - from.lambda();
                let nodes = nodes(NoiseLevel::lambda, from.lambda());
                lagrange(Weight::Falling, h, &nodes).iter().map(|w| -from.ratio() * w).collect()
            }
            Coordinate::Time => time_weights(from, to, &nodes(vp_time, 0.0)),
        };
        all[1..].to_vec()
    }
}

/// The time at which the variance-preserving SDE with beta from 0.1 to 20 (arXiv:2011.13456, eq. 32)
/// has the noise ratio of `level`: the root of `−ln alpha = (beta₁ − beta₀)t²/4 + beta₀t/2`.
fn vp_time(level: NoiseLevel) -> f64 {
    time_of_ratio(level.ratio())
}

fn time_of_ratio(ratio: f64) -> f64 {
    let (a, b, c) = ((20.0 - 0.1) / 4.0, 0.1 / 2.0, ratio.powi(2).ln_1p() / 2.0);
    2.0 * c / (b + (b * b + 4.0 * a * c).sqrt())
}

/// By quadrature over lambda, where the integrand is smooth; to no noise, until `rho` has fallen
/// below rounding.
fn time_weights(from: NoiseLevel, to: NoiseLevel, nodes: &[f64]) -> Vec<f64> {
    const NOTHING: f64 = 40.0;
    let h = (to.lambda() - from.lambda()).min(NOTHING);
    let integrand = |j: usize| {
        move |tau: f64| {
            let rho = from.ratio() * (-tau).exp();
            -rho * integrals::basis_at(nodes, j, time_of_ratio(rho))
        }
    };
    (0..nodes.len()).map(|j| integrals::quadrature(0.0, h, integrand(j))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_that_of_the_sde() {
        for t in [1e-3, 0.1, 0.5, 1.0] {
            let ln_alpha: f64 = -(19.9 * t * t / 4.0 + 0.1 * t / 2.0);
            let alpha = ln_alpha.exp();
            let level = NoiseLevel { alpha, sigma: (1.0 - alpha * alpha).sqrt() };
            assert!((vp_time(level) - t).abs() < 1e-10 * t, "{t}");
        }
        assert_eq!(time_of_ratio(0.0), 0.0);
    }

    /// Also to no noise; against a fine midpoint rule in rho (10⁵ intervals: an error below 1e-8).
    #[test]
    fn weights_integrate_their_polynomials() {
        let levels = [3.0, 2.2, 1.5, 1.1].map(NoiseLevel::ve);
        for end in [0.8, 0.0] {
            let (from, to) = (levels[3], NoiseLevel::ve(end));
            let past = vec![levels[2], levels[1], levels[0]];
            type Variable = fn(f64) -> f64;
            let variables: [(Coordinate, Variable); 3] = [
                (Coordinate::Time, time_of_ratio),
                (Coordinate::Rho, |r| r),
                (Coordinate::LogRho, f64::ln),
            ];
            for (coordinate, variable) in variables {
                let weights = coordinate.weights(from, to, past.clone());
                let nodes: Vec<f64> = [1.1, 1.5, 2.2, 3.0].into_iter().map(variable).collect();
                for (j, weight) in weights.iter().enumerate() {
                    let n = 100_000;
                    let width = (end - 1.1) / f64::from(n);
                    let at = |i: i32| variable(1.1 + width * (f64::from(i) + 0.5));
                    let sum: f64 =
                        (0..n).map(|i| width * integrals::basis_at(&nodes, j + 1, at(i))).sum();
                    assert!((sum - weight).abs() < 1e-7, "{coordinate:?} {j}: {sum} {weight}");
                }
            }
        }
    }
}
