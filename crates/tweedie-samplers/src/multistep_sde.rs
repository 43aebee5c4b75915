//! DPM-Solver++ for the reverse SDE, one evaluation a step and a memory of the last ones.

use crate::{Run, Sampler, Solver, ancestral::Amount};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::{Grid, NoiseLevel, Result};

/// How [`DpmPp2MSde`] uses the last estimate. Both are of order 2 without noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SolverType {
    /// The estimate at the middle of the step, all along.
    #[default]
    Midpoint,
    /// The line through both estimates, integrated exactly.
    Heun,
}

/// DPM-Solver++(2M) for SDEs (arXiv:2211.01095, §5; k-diffusion's `sample_dpmpp_2m_sde`).
/// One evaluation a step. With `eta = 0` it is DPM-Solver++(2M), of order 2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmPp2MSde {
    /// Share of fresh noise: 0 is the ODE, 1 the reverse SDE.
    pub eta: f64,
    /// Standard deviation of the noise.
    pub s_noise: f64,
    /// How the last estimate is used.
    pub solver_type: SolverType,
}

impl Default for DpmPp2MSde {
    /// k-diffusion's: `eta = 1`, `s_noise = 1`, midpoint.
    fn default() -> Self {
        DpmPp2MSde { eta: 1.0, s_noise: 1.0, solver_type: SolverType::default() }
    }
}

/// DPM-Solver++(3M) for SDEs (k-diffusion's `sample_dpmpp_3m_sde`): as [`DpmPp2MSde`] with a parabola
/// through the last three estimates, integrated exactly. One evaluation a step; of order 3 with
/// `eta = 0`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmPp3MSde {
    /// Share of fresh noise: 0 is the ODE, 1 the reverse SDE.
    pub eta: f64,
    /// Standard deviation of the noise.
    pub s_noise: f64,
    /// Compatibility with k-diffusion, which takes half of the second difference, where Taylor's
    /// formula has it whole: with the half it is of order 2.
    pub half_difference: bool,
}

impl Default for DpmPp3MSde {
    /// k-diffusion's but for its second difference: `eta = 1`, `s_noise = 1`.
    fn default() -> Self {
        DpmPp3MSde { eta: 1.0, s_noise: 1.0, half_difference: false }
    }
}

/// `φ₁(x) = (1 − e⁻ˣ)`, `φ₂ = 1 − φ₁/x` and `φ₃ = φ₂/x − ½`: integrals of `e^(μ − x)` times powers of `μ`
/// over [0, x], as k-diffusion scales them. Series where the formulas cancel.
fn phi(x: f64) -> [f64; 3] {
    let phi_1 = -(-x).exp_m1();
    if x > 0.5 {
        let phi_2 = 1.0 - phi_1 / x;
        return [phi_1, phi_2, phi_2 / x - 0.5];
    }
    // φ₂ = x/2! − x²/3! + …, φ₃ = −x/3! + x²/4! − …
    let series = |first: f64| {
        let (mut term, mut sum) = (x / first, 0.0);
        let mut k = first;
        while term != 0.0 && sum + term != sum {
            sum += term;
            k += 1.0;
            term *= -x / k;
        }
        sum
    };
    [phi_1, series(2.0), -series(3.0) / 2.0]
}

/// What all of these share: `x'/alpha' = (s'/s)·e^(−ηh)·x/alpha + φ₁·x0 + Σ + s'·√(1 − e^(−2ηh))·z`,
/// with `h` the step in `λ`; `correction` is what the memory adds.
fn exponential_step(
    run: &mut Run<'_>,
    Amount { eta, s_noise }: Amount,
    x0: &Tensor,
    correction: &[(f64, &Tensor)],
) -> Result<()> {
    let (from, to) = (run.level(), run.next_level());
    // e^(−ηh), which is 0^η from pure noise.
    let shrink = (to.ratio() / from.ratio()).powf(eta);
    let keep = to.sigma / from.sigma * shrink;
    let noise = s_noise * to.sigma * (1.0 - shrink.powi(2)).max(0.0).sqrt();
    let mut terms = vec![(to.alpha - keep * from.alpha, x0)];
    terms.extend(correction.iter().map(|&(c, t)| (to.alpha * c, t)));
    run.advance(keep, &terms, noise)
}

/// The length of a step in `λ`; infinite from pure noise.
fn length(from: NoiseLevel, to: NoiseLevel) -> f64 {
    (from.ratio() / to.ratio()).ln()
}

impl Sampler for DpmPp2MSde {
    fn solver(&self) -> Result<Solver> {
        let amount = Amount { eta: self.eta, s_noise: self.s_noise }.check()?;
        let solver_type = self.solver_type;
        let mut last: Option<(Tensor, f64)> = None;
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            let (from, to) = (run.level(), run.next_level());
            let h = length(from, to);
            let [phi_1, phi_2, _] = phi(h * (1.0 + amount.eta));
            match &last {
                Some((x0_last, h_last)) if !to.is_clean() => {
                    let c = h / h_last
                        * match solver_type {
                            SolverType::Midpoint => 0.5 * phi_1,
                            SolverType::Heun => phi_2,
                        };
                    exponential_step(run, amount, &x0, &[(c, &x0), (-c, x0_last)])?;
                }
                _ => exponential_step(run, amount, &x0, &[])?,
            }
            last = Some((x0.shallow_clone(), h));
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}

impl Sampler for DpmPp3MSde {
    fn solver(&self) -> Result<Solver> {
        let amount = Amount { eta: self.eta, s_noise: self.s_noise }.check()?;
        let half = self.half_difference;
        let mut last: Option<(Tensor, f64)> = None;
        let mut before: Option<(Tensor, f64)> = None;
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            let (from, to) = (run.level(), run.next_level());
            let h = length(from, to);
            let [_, phi_2, phi_3] = phi(h * (1.0 + amount.eta));
            let phi_3 = phi_3 * if half { 1.0 } else { 2.0 };
            match (&last, &before) {
                (Some((x0_1, h_1)), Some((x0_2, h_2))) if !to.is_clean() => {
                    // D₁ = the parabola's slope at the step's start, D₂ = half its second derivative.
                    let (r0, r1) = (h_1 / h, h_2 / h);
                    let (near, far) = (1.0 / r0, 1.0 / r1);
                    // φ₂·D₁ − 2φ₃·D₂ with D₁ = d₀ + (d₀ − d₁)·r0/(r0 + r1), D₂ = (d₀ − d₁)/(r0 + r1)
                    let bend = phi_2 * (r0 / (r0 + r1)) - phi_3 / (r0 + r1);
                    let (c0, c1) = (near * (phi_2 + bend), far * bend);
                    let terms = [(c0, &x0), (-c0 - c1, x0_1), (c1, x0_2)];
                    exponential_step(run, amount, &x0, &terms)?;
                }
                (Some((x0_1, h_1)), None) if !to.is_clean() => {
                    let c = phi_2 * h / h_1;
                    exponential_step(run, amount, &x0, &[(c, &x0), (-c, x0_1)])?;
                }
                _ => exponential_step(run, amount, &x0, &[])?,
            }
            before = last.take();
            last = Some((x0.shallow_clone(), h));
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both sides of the change-over, and the limit 0.
    #[test]
    fn series_and_formulas_agree() {
        for x in [0.3_f64, 0.45, 0.5] {
            let [_, phi_2, phi_3] = phi(x);
            let direct = 1.0 + (-x).exp_m1() / x;
            assert!((phi_2 - direct).abs() < 1e-15 && (phi_3 - (direct / x - 0.5)).abs() < 1e-14);
        }
        assert_eq!(phi(0.0), [0.0, 0.0, 0.0]);
        assert!((phi(1e-9)[2] / -1e-9 - 1.0 / 6.0).abs() < 1e-9);
        assert_eq!(phi(f64::INFINITY), [1.0, 1.0, -0.5]);
    }
}
