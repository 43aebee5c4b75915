//! What DPM-Solver-v3 knows of a model beforehand.

use crate::ancestral::at_ratio;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};
use tweedie_core::{Denoiser, Error, Noise, NoiseLevel, Result, noise::Draw};
use tweedie_torch::tensor;

/// The three functions of `λ` that [`DpmSolverV3`](crate::DpmSolverV3) takes out of the ODE: for
/// `f = (1 − l)·x/alpha − x0`, what is left of it, `l` makes `f` depend least on `x`, and `s` and `b`
/// predict how it changes, `df/dλ ≈ s·f + b` (the paper's eqs. 6 and 11).
pub trait Statistics {
    /// Refuses settings that make no sense.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// `l` at `lambda`.
    fn l(&self, lambda: f64) -> f64;

    /// `b` at `lambda`.
    fn b(&self, lambda: f64) -> f64;

    /// `∫ l dλ`.
    fn integral_l(&self, from: f64, to: f64) -> f64;

    /// `∫ s dλ`.
    fn integral_s(&self, from: f64, to: f64) -> f64;

    /// Whether `b` is 0 everywhere.
    fn has_no_b(&self) -> bool {
        false
    }

    /// Where a function is not smooth, rising, within an interval.
    fn knots(&self, from: f64, to: f64) -> Vec<f64> {
        let _ = (from, to);
        Vec::new()
    }
}

/// The statistics of normal data with mean 0 and standard deviation `sigma_data`:
/// `l = sigma²/(sigma_data²·alpha² + sigma²)`, `s = b = 0`. Nothing needs to be measured, and for such
/// data a step of any length is exact. It is DPM-Solver++ (`l = 1`) where there is much noise, and
/// goes over to the noise estimate (`l = 0`) where there is little.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NormalData {
    /// Standard deviation of the data, at least 0.
    pub sigma_data: f64,
}

impl Default for NormalData {
    /// EDM's 0.5.
    fn default() -> Self {
        NormalData { sigma_data: 0.5 }
    }
}

impl NormalData {
    /// The total variance of `x/alpha`.
    fn total(&self, lambda: f64) -> f64 {
        self.sigma_data.powi(2) + (-2.0 * lambda).exp()
    }
}

impl Statistics for NormalData {
    fn check(&self) -> Result<()> {
        if self.sigma_data >= 0.0 && self.sigma_data.is_finite() {
            return Ok(());
        }
        Err(Error::invalid("sigma_data", self.sigma_data, "a finite number of at least 0"))
    }

    fn l(&self, lambda: f64) -> f64 {
        (-2.0 * lambda).exp() / self.total(lambda)
    }

    fn b(&self, _: f64) -> f64 {
        0.0
    }

    /// The derivative of `ln total` is `−2l`.
    fn integral_l(&self, from: f64, to: f64) -> f64 {
        0.5 * (self.total(from) / self.total(to)).ln()
    }

    fn integral_s(&self, _: f64, _: f64) -> f64 {
        0.0
    }

    fn has_no_b(&self) -> bool {
        true
    }
}

/// Statistics as tables over `λ`, with straight lines between their places and constants beyond
/// them: DPM-Solver-v3's empirical model statistics. One number a level, where the paper has one for
/// each element of a sample, so that a step's coefficients stay plain numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Tables", into = "Tables")]
pub struct EmpiricalStatistics {
    tables: Tables,
    /// `∫ l dλ` and `∫ s dλ` from the first place to each.
    integrals: [Vec<f64>; 2],
}

/// The tables of [`EmpiricalStatistics`], of one length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tables {
    /// Half log-SNRs, rising.
    pub lambda: Vec<f64>,
    /// `l` there.
    pub l: Vec<f64>,
    /// `s` there.
    pub s: Vec<f64>,
    /// `b` there.
    pub b: Vec<f64>,
}

impl TryFrom<Tables> for EmpiricalStatistics {
    type Error = Error;

    /// Refuses tables that are empty, of several lengths or not finite, and `lambda` unless it
    /// rises.
    fn try_from(tables: Tables) -> Result<Self> {
        let Tables { lambda, l, s, b } = &tables;
        let n = lambda.len();
        if n == 0 || [l, s, b].iter().any(|table| table.len() != n) {
            let found = format!("{n}, {}, {}, {}", l.len(), s.len(), b.len());
            return Err(Error::invalid("the lengths of lambda, l, s, b", found, "equal, positive"));
        }
        if let Some(bad) = [lambda, l, s, b].into_iter().flatten().find(|v| !v.is_finite()) {
            return Err(Error::invalid("a statistic", bad, "a finite number"));
        }
        if let Some(pair) = lambda.windows(2).find(|pair| pair[1] <= pair[0]) {
            let expected = format!("above {}, the one before", pair[0]);
            return Err(Error::invalid("lambda", pair[1], expected));
        }
        let integrals = [cumulative(lambda, l), cumulative(lambda, s)];
        Ok(EmpiricalStatistics { tables, integrals })
    }
}

/// The integral of straight lines from the first place to each: trapezia, which is exact.
fn cumulative(at: &[f64], table: &[f64]) -> Vec<f64> {
    let trapezia = (1..at.len()).map(|i| (at[i] - at[i - 1]) * (table[i] + table[i - 1]) / 2.0);
    let sums = trapezia.scan(0.0, |sum, trapezium| {
        *sum += trapezium;
        Some(*sum)
    });
    [0.0].into_iter().chain(sums).collect()
}

impl From<EmpiricalStatistics> for Tables {
    fn from(statistics: EmpiricalStatistics) -> Self {
        statistics.tables
    }
}

/// The step in `λ`, and in units of `sigma`, of the differences that stand for derivatives.
const DELTA: f64 = 5e-3;

impl EmpiricalStatistics {
    /// Measures a model at `levels`, least noise last, on `data`, `[n, …]`: some samples of what it was
    /// trained on, to which noise is added. Five evaluations a level, none with gradients:
    /// derivatives are central differences, and `l`, the mean of a Jacobian's diagonal, Hutchinson's
    /// estimate with one vector of signs.
    ///
    /// # Errors
    /// Where a level is clean or pure noise, levels do not fall in noise, or an answer is not
    /// finite.
    pub fn estimate(
        denoiser: &dyn Denoiser,
        data: &Tensor,
        levels: &[NoiseLevel],
        noise: &mut Noise,
    ) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        let end = |level: &&NoiseLevel| level.is_clean() || level.alpha == 0.0;
        if let Some(&level) = levels.iter().find(end) {
            let why = "its lambda is infinite";
            return Err(Error::Level { what: "statistics", level, why });
        }
        let measure = |(i, level): (usize, &NoiseLevel)| measure(denoiser, data, *level, noise, i);
        let measured: Vec<Measured> =
            levels.iter().enumerate().map(measure).collect::<Result<_>>()?;
        let lambda: Vec<f64> = levels.iter().map(|level| level.lambda()).collect();
        let l: Vec<f64> = measured.iter().map(|m| m.l).collect();
        let (s, b) =
            measured.iter().zip(slopes(&lambda, &l)).map(|(m, slope)| m.fit(slope)).unzip();
        Tables { lambda, l, s, b }.try_into()
    }

    /// Its tables.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// How many places are at or below `lambda`.
    fn below(&self, lambda: f64) -> usize {
        self.tables.lambda.partition_point(|at| *at <= lambda)
    }

    fn value(&self, table: &[f64], lambda: f64) -> f64 {
        let (at, after) = (&self.tables.lambda, self.below(lambda));
        match after {
            0 => table[0],
            n if n == at.len() => table[n - 1],
            i => {
                let share = (lambda - at[i - 1]) / (at[i] - at[i - 1]);
                table[i - 1] + share * (table[i] - table[i - 1])
            }
        }
    }

    /// From the first place to `lambda`: to the place before it, and a trapezium.
    fn integral_to(&self, table: &[f64], integrals: &[f64], lambda: f64) -> f64 {
        let i = self.below(lambda).max(1) - 1;
        let width = lambda - self.tables.lambda[i];
        integrals[i] + width * (table[i] + self.value(table, lambda)) / 2.0
    }
}

impl Statistics for EmpiricalStatistics {
    fn l(&self, lambda: f64) -> f64 {
        self.value(&self.tables.l, lambda)
    }

    fn b(&self, lambda: f64) -> f64 {
        self.value(&self.tables.b, lambda)
    }

    fn integral_l(&self, from: f64, to: f64) -> f64 {
        let at = |lambda| self.integral_to(&self.tables.l, &self.integrals[0], lambda);
        at(to) - at(from)
    }

    fn integral_s(&self, from: f64, to: f64) -> f64 {
        let at = |lambda| self.integral_to(&self.tables.s, &self.integrals[1], lambda);
        at(to) - at(from)
    }

    fn knots(&self, from: f64, to: f64) -> Vec<f64> {
        let at = &self.tables.lambda;
        let first = at.partition_point(|at| *at <= from);
        at[first..].iter().copied().take_while(|at| *at < to).collect()
    }
}

/// What one level tells: `l`, and means and covariances of `y = x/alpha`, `x0` and `dx0/dλ` over all
/// elements of all samples.
struct Measured {
    l: f64,
    mean: [f64; 3],
    covariance: [[f64; 3]; 3],
}

fn measure(
    denoiser: &dyn Denoiser,
    data: &Tensor,
    level: NoiseLevel,
    noise: &mut Noise,
    step: usize,
) -> Result<Measured> {
    let NoiseLevel { alpha, sigma } = level;
    let mut draw = |nth| -> Result<Tensor> {
        let mut buffer = None;
        let draw = Draw { step, nth, between: None };
        Ok(noise.at(draw, data, &mut buffer)?.shallow_clone())
    };
    let x = data * alpha + draw(0)? * sigma;
    let x0 = denoiser.denoise(&x, level)?;
    if x0.size() != x.size() {
        return Err(Error::shape("the denoiser's answer", format!("{:?}", x.size()), &x0.size()));
    }
    // Of the Jacobian of x0 by x, vᵀ·J·v/n.
    let v = draw(1)?.ge(0.0).to_kind(x.kind()) * 2.0 - 1.0;
    let by = DELTA * sigma;
    let ends = [by, -by].map(|by| denoiser.denoise(&(&x + &v * by), level));
    let [up, down] = ends;
    let trace = (v * (up? - down?)).mean(Kind::Double).double_value(&[]) / (2.0 * by);
    // Along the ODE, d(x/alpha)/dλ = x0 − x/alpha.
    let forth = |by: f64| {
        let there = at_ratio(level, level.ratio() * (-by).exp());
        denoiser.denoise(&(&x + (&x0 * alpha - &x) * by), there)
    };
    let change = (forth(DELTA)? - forth(-DELTA)?) / (2.0 * DELTA);
    let rows = [&x / alpha, x0, change].map(|t| t.to_kind(Kind::Double).flatten(0, -1));
    let rows = Tensor::stack(&rows, 0);
    let mean = rows.mean_dim(1, true, Kind::Double);
    let away = &rows - &mean;
    let covariance = away.matmul(&away.tr()) / rows.size()[1] as f64;
    let (mean, c) = (tensor::to_f64(&mean)?, tensor::to_f64(&covariance)?);
    let l = 1.0 - alpha * trace;
    if !(l.is_finite() && mean.iter().chain(&c).all(|v| v.is_finite())) {
        return Err(Error::NonFinite { what: "a statistic", step, level });
    }
    let mean = [mean[0], mean[1], mean[2]];
    Ok(Measured {
        l,
        mean,
        covariance: [[c[0], c[1], c[2]], [c[3], c[4], c[5]], [c[6], c[7], c[8]]],
    })
}

impl Measured {
    /// `s` and `b` of least squares for `df/dλ ≈ s·f + b`, both being sums of `y`, `x0`, `dx0/dλ`;
    /// `slope` is `dl/dλ`. Where `f` does not vary, `s` is 0.
    fn fit(&self, slope: f64) -> (f64, f64) {
        let kept = 1.0 - self.l;
        let (f, df) = ([kept, -1.0, 0.0], [-kept - slope, kept, -1.0]);
        let covariance = |a: [f64; 3], b: [f64; 3]| -> f64 {
            let row = |i: usize| (0..3).map(|j| a[i] * self.covariance[i][j] * b[j]).sum::<f64>();
            (0..3).map(row).sum()
        };
        let mean = |a: [f64; 3]| -> f64 { a.iter().zip(self.mean).map(|(a, m)| a * m).sum() };
        let scale: f64 = (0..3).map(|i| f[i].powi(2) * self.covariance[i][i]).sum();
        let variance = covariance(f, f);
        let s = if variance > 1e-8 * scale { covariance(f, df) / variance } else { 0.0 };
        (s, mean(df) - s * mean(f))
    }
}

/// The slope of a table at each of its places, by the parabola through the neighbours.
fn slopes(at: &[f64], table: &[f64]) -> Vec<f64> {
    let chord = |i: usize| (table[i + 1] - table[i]) / (at[i + 1] - at[i]);
    let slope = |i: usize| match (i.checked_sub(1), i + 1 < at.len()) {
        (Some(before), true) => {
            let (left, right) = (at[i] - at[before], at[i + 1] - at[i]);
            (chord(before) * right + chord(i) * left) / (left + right)
        }
        (None, true) => chord(i),
        (Some(before), false) => chord(before),
        (None, false) => 0.0,
    };
    (0..at.len()).map(slope).collect()
}
