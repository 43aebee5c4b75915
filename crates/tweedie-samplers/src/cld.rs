//! Critically damped Langevin diffusion.

use crate::{Run, Sampler, Solver};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use tweedie_core::{Error, Grid, NoiseLevel, Result};

/// Critically damped Langevin diffusion (CLD, arXiv:2112.07068): noise enters the velocity `w` alone,
/// and reaches the data through it. In the time `τ = β·M^(−½)·t` of the paper's constants, with `w`
/// in units of `√M`, its forward SDE (eq. 5 at `Γ² = 4M`) has no constants left:
///
/// ```text
/// dx = w dτ        dw = −x dτ − 2w dτ + 2 dW        w₀ ~ N(0, γ)
/// ```
///
/// Of `(x, w)` given clean data only one combination says anything of the data, and it is a noisy
/// datum as any other, `y = x0 + rho·η`; a second, `r`, is standard normal whatever `x0` is. So an ordinary
/// denoiser, asked at `y`, gives the score of `(x, w)`, and no network of velocities is needed. The
/// state is `alpha·y`; `r` is what the solver remembers. A step holds the estimate and samples
/// `(y, r)` at the next level given it, exactly (as DDPM's do for one variable): of weak order 1, and
/// stable at any length. A step to no noise is the estimate itself. One evaluation a step.
///
/// Since `y` is the best linear estimate of the datum, its steps owe nothing to `r`: they are those of
/// [`EulerAncestral`](crate::EulerAncestral), with other noise. What CLD changes is how `(x, w)` is cut
/// into steps where a network knows both (the paper's SSCS), and that is not here.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cld {
    /// γ: the variance of the velocities that clean data are given, in units of `M`.
    pub velocity_variance: f64,
}

impl Default for Cld {
    /// The paper's `γ = 0.04`.
    fn default() -> Self {
        Cld { velocity_variance: 0.04 }
    }
}

impl Cld {
    fn check(&self) -> Result<Self> {
        let gamma = self.velocity_variance;
        if !(gamma.is_finite() && gamma >= 0.0) {
            let expected = "a finite number of at least 0";
            return Err(Error::invalid("velocity_variance", gamma, expected));
        }
        Ok(*self)
    }

    /// One step from `x` and `r`.
    fn step(
        &self,
        run: &mut Run<'_>,
        x0: &Tensor,
        [r, z1, z2, scratch]: &mut [Option<Tensor>; 4],
    ) -> Result<()> {
        let (from, to) = (run.level(), run.next_level());
        if r.is_none() {
            run.draw(r, None)?;
        }
        let z1 = run.draw(z1, None)?;
        let z2 = run.draw(z2, None)?;
        let Some(old) = &*r else { return Ok(()) };
        let [[a, b], [c, d]] = self.correlation(from, to)?;
        // Cholesky: what (η', r') have of their own
        let l11 = (1.0 - a * a - b * b).max(0.0).sqrt();
        let l21 = if l11 > 0.0 { -(a * c + b * d) / l11 } else { 0.0 };
        let l22 = (1.0 - c * c - d * d - l21 * l21).max(0.0).sqrt();
        // η = (x − alpha·x0)/sigma
        let (eta, from_x0) = (1.0 / from.sigma, -from.alpha / from.sigma);
        run.combine(
            scratch,
            &[(c * eta, run.x()), (c * from_x0, x0), (d, old), (l21, z1), (l22, z2)],
        )?;
        let kept = to.alpha + to.sigma * a * from_x0;
        run.advance(
            to.sigma * a * eta,
            &[(kept, x0), (to.sigma * b, old), (to.sigma * l11, z1)],
            0.0,
        )?;
        std::mem::swap(r, scratch);
        Ok(())
    }

    /// The correlations of `(η', r')` at `to` (rows) with `(η, r)` at `from`, given `x0`.
    ///
    /// With `u − m·x0 = B·(η, r)` at both ends and `u = E·u' + noise`, they are `(B⁻¹·E·B')ᵀ`.
    fn correlation(&self, from: NoiseLevel, to: NoiseLevel) -> Result<Matrix> {
        if from.alpha == 0.0 {
            return Ok([[0.0; 2]; 2]); // an infinite time forgets everything
        }
        let (later, earlier) = (self.time_of(from.ratio())?, self.time_of(to.ratio())?);
        let (b, b_to) = (self.root(later), self.root(earlier));
        Ok(transpose(product(inverse(b), product(flow(later - earlier), b_to))))
    }

    /// `B = (rho·m, n)`, a square root of the covariance of `(x, w)` given `x0` at `τ`, where
    /// `m = E·(1, 0)` is their mean for `x0 = 1` and `n` is uncorrelated with `y`.
    fn root(&self, tau: f64) -> Matrix {
        let Precision { rho, m, p, determinant } = self.precision(tau);
        let size = rho * determinant.sqrt();
        [[rho * m[0], -size * p[1]], [rho * m[1], size * p[0]]]
    }

    /// What `(x, w)` at `τ` say of `x0`.
    fn precision(&self, tau: f64) -> Precision {
        let [[xx, xw], [_, ww]] = self.covariance(tau);
        let [m, _] = transpose(flow(tau));
        let determinant = xx * ww - xw * xw;
        let p = [(ww * m[0] - xw * m[1]) / determinant, (xx * m[1] - xw * m[0]) / determinant];
        Precision { rho: (m[0] * p[0] + m[1] * p[1]).powf(-0.5), m, p, determinant }
    }

    /// `Σ = E·diag(0, γ)·Eᵀ + (1 − E·Eᵀ)`: noise from the start, and since.
    fn covariance(&self, tau: f64) -> Matrix {
        let [[_, from_w], [_, w_from_w]] = flow(tau);
        let (gamma, z) = (self.velocity_variance, 2.0 * tau);
        let xx = if z < 2.0 { tail(z) } else { 1.0 - (-z).exp() * (1.0 + z + z * z / 2.0) };
        let xw = (-z).exp() * z * z / 2.0;
        let ww = -(-z).exp_m1() + (-z).exp() * (z - z * z / 2.0);
        [
            [xx + gamma * from_w * from_w, xw + gamma * from_w * w_from_w],
            [xw + gamma * from_w * w_from_w, ww + gamma * w_from_w * w_from_w],
        ]
    }

    /// The time at which `y` has the noise ratio `rho`, which grows with time: by bisection.
    fn time_of(&self, rho: f64) -> Result<f64> {
        let (mut least, mut most) = (SHORTEST.ln(), LONGEST.ln());
        let ends = [SHORTEST, LONGEST].map(|tau| self.precision(tau).rho);
        if !(ends[0]..=ends[1]).contains(&rho) {
            let expected = format!("between {:.1e} and {:.1e}", ends[0], ends[1]);
            return Err(Error::invalid("the noise ratio of a level", rho, expected));
        }
        for _ in 0..f64::MANTISSA_DIGITS {
            let middle = (least + most) / 2.0;
            let above = self.precision(middle.exp()).rho > rho;
            *(if above { &mut most } else { &mut least }) = middle;
        }
        Ok(((least + most) / 2.0).exp())
    }
}

/// Times between which all is computed without loss.
const SHORTEST: f64 = 1e-7;
const LONGEST: f64 = 30.0;

impl Sampler for Cld {
    fn solver(&self) -> Result<Solver> {
        let this = self.check()?;
        let mut buffers = [None, None, None, None];
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            if run.next_level().is_clean() {
                let alpha = run.next_level().alpha;
                run.advance(0.0, &[(alpha, &x0)], 0.0)?;
            } else {
                this.step(run, &x0, &mut buffers)?;
            }
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}

type Matrix = [[f64; 2]; 2];

/// What `(x, w)` say of `x0`, from their mean and covariance given it.
struct Precision {
    /// `(mᵀ·Σ⁻¹·m)^(−½)`: the noise ratio of `y`.
    rho: f64,
    m: [f64; 2],
    /// `Σ⁻¹·m`
    p: [f64; 2],
    /// Of `Σ`.
    determinant: f64,
}

/// `1 − (1 + z + z²/2)·e^(−z)` as the tail of `e^z`'s series: no differences where `z` is small.
fn tail(z: f64) -> f64 {
    let mut term = (-z).exp() * z.powi(3) / 6.0;
    let mut sum = term;
    for k in 4..40 {
        term *= z / f64::from(k);
        sum += term;
    }
    sum
}

/// `E = exp(F·τ)` of the drift `F = (0 1; −1 −2)`, whose eigenvalue −1 is double.
fn flow(tau: f64) -> Matrix {
    let decay = (-tau).exp();
    [[decay * (1.0 + tau), decay * tau], [-decay * tau, decay * (1.0 - tau)]]
}

fn product(a: Matrix, b: Matrix) -> Matrix {
    let at = |i: usize, j: usize| a[i][0] * b[0][j] + a[i][1] * b[1][j];
    [[at(0, 0), at(0, 1)], [at(1, 0), at(1, 1)]]
}

fn transpose([[a, b], [c, d]]: Matrix) -> Matrix {
    [[a, c], [b, d]]
}

fn inverse([[a, b], [c, d]]: Matrix) -> Matrix {
    let determinant = a * d - b * c;
    [[d / determinant, -b / determinant], [-c / determinant, a / determinant]]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // as in any test
mod tests {
    use super::*;

    const TIMES: [f64; 6] = [1e-3, 0.05, 0.4, 0.999, 1.001, 5.0];

    fn close(ours: f64, right: f64, tolerance: f64, what: &str) {
        let off = (ours - right).abs();
        assert!(off <= tolerance * right.abs(), "{what}: {ours}, not {right}");
    }

    /// The appendix's formulas (B.1) with β = 4, M = ¼, Γ = 1 and the velocity `v = w/2`.
    #[test]
    fn moments_are_the_papers() {
        for tau in TIMES {
            let gamma = Cld::default().velocity_variance;
            let b = tau / 2.0; // ∫β dt
            let (decay, vv0) = ((-4.0 * b).exp(), gamma / 4.0);
            let grown = (4.0 * b).exp() - 1.0;
            let xx = decay * (grown - 4.0 * b - 8.0 * b * b + 16.0 * b * b * vv0);
            let xv = decay * (4.0 * b * vv0 + 4.0 * b * b - 8.0 * b * b * vv0);
            let vv = decay * (grown / 4.0 + b + vv0 * (1.0 + 4.0 * b * b - 4.0 * b) - 2.0 * b * b);
            let [[ours_xx, ours_xw], [_, ours_ww]] = Cld::default().covariance(tau);
            // The paper's first line loses digits where τ is small.
            close(ours_xx, xx, 1e-9, "xx");
            close(ours_xw / 2.0, xv, 1e-12, "xv");
            close(ours_ww / 4.0, vv, 1e-12, "vv");
            let [[mean_x, _], [mean_w, _]] = flow(tau);
            close(mean_x, (2.0 * b + 1.0) * (-2.0 * b).exp(), 1e-14, "mean of x");
            close(mean_w / 2.0, -b * (-2.0 * b).exp(), 1e-14, "mean of v");
        }
    }

    #[test]
    fn a_time_is_found_by_its_noise_ratio() {
        for gamma in [0.0, 0.04, 1.0] {
            let cld = Cld { velocity_variance: gamma };
            for tau in TIMES {
                let found = cld.time_of(cld.precision(tau).rho).unwrap();
                close(found, tau, 1e-9, "τ");
            }
        }
        let error = Cld::default().time_of(1e-30).unwrap_err().to_string();
        assert!(error.contains("noise ratio of a level is"), "{error}");
    }

    /// `y` is all that `(x, w)` says of the data: for data of two values the odds are those of `y`.
    #[test]
    fn one_combination_has_all_that_is_known_of_the_data() {
        let values = [-0.7, 1.1];
        for tau in TIMES {
            let cld = Cld::default();
            let [[xx, xw], [_, ww]] = cld.covariance(tau);
            let Precision { rho, m, p, .. } = cld.precision(tau);
            let u = [0.3, -0.2];
            let energy = |x0: f64| {
                let [e, f] = [u[0] - m[0] * x0, u[1] - m[1] * x0];
                (ww * e * e - 2.0 * xw * e * f + xx * f * f) / (xx * ww - xw * xw) / 2.0
            };
            let y = (p[0] * u[0] + p[1] * u[1]) * rho * rho;
            let energy_of_y = |x0: f64| (y - x0).powi(2) / (2.0 * rho * rho);
            let [odds, odds_of_y] = [
                energy(values[0]) - energy(values[1]),
                energy_of_y(values[0]) - energy_of_y(values[1]),
            ];
            close(odds_of_y, odds, 1e-7, "log-odds");
            // and B·Bᵀ = Σ
            let root = cld.root(tau);
            let [[sxx, sxw], [_, sww]] = product(root, transpose(root));
            close(sxx, xx, 1e-7, "xx");
            close(sxw, xw, 1e-7, "xw");
            close(sww, ww, 1e-7, "ww");
        }
    }

    /// A known estimate makes two steps one: whatever the levels between.
    #[test]
    fn steps_with_one_estimate_compose() {
        let cld = Cld::default();
        let [a, b, c] = [20.0, 1.0, 0.05].map(NoiseLevel::vp);
        let [first, second] = [(a, b), (b, c)].map(|(l, k)| cld.correlation(l, k).unwrap());
        let whole = cld.correlation(a, c).unwrap();
        let composed = product(second, first);
        for (ours, right) in composed.as_flattened().iter().zip(whole.as_flattened()) {
            assert!((ours - right).abs() < 1e-9, "{composed:?}, not {whole:?}");
        }
        // y' owes to y what it owes in DDPM, and nothing to r.
        let [[of_y, of_r], _] = whole;
        assert!((of_y - c.ratio() / a.ratio()).abs() < 1e-9 && of_r.abs() < 1e-9, "{whole:?}");
    }
}
