//! A few functions that the standard library lacks.

/// `n` numbers from `start` to `end`, both exact; only `start` for `n = 1`.
pub(crate) fn linspace(start: f64, end: f64, n: usize) -> impl ExactSizeIterator<Item = f64> {
    let step = (end - start) / n.saturating_sub(1).max(1) as f64;
    let half = n.div_ceil(2);
    (0..n).map(
        move |i| {
            if i < half { start + step * i as f64 } else { end - step * (n - 1 - i) as f64 }
        },
    )
}

/// `u` inside (0, 1): what is outside, or not a number, becomes the nearest inside, or the least.
pub(crate) fn inside(u: f64) -> f64 {
    if u > f64::MIN_POSITIVE { u.min(1.0 - f64::EPSILON / 2.0) } else { f64::MIN_POSITIVE }
}

/// `1/(1 + e^−x)`.
pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The number below which a fraction `p ∈ (0, 1)` of a standard normal distribution lies,
/// to about 1e-16: Wichura's PPND16 (Applied Statistics 37, 1988, AS 241).
pub(crate) fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        return q * rational(0.180625 - q * q, &CENTRE);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = (-tail.ln()).sqrt();
    let z = if r <= 5.0 { rational(r - 1.6, &MIDDLE) } else { rational(r - 5.0, &TAIL) };
    z.copysign(q)
}

/// Numerator's and denominator's coefficients, lowest power first.
type Rational = ([f64; 8], [f64; 8]);

fn rational(x: f64, (top, bottom): &Rational) -> f64 {
    let polynomial = |c: &[f64; 8]| c.iter().rev().fold(0.0, |sum, c| sum * x + c);
    polynomial(top) / polynomial(bottom)
}

#[rustfmt::skip]
#[expect(clippy::excessive_precision, reason = "the digits as published")]
const CENTRE: Rational = (
    [3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
     45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727],
    [1.0, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077,
     21213.794301586595867, 39307.895800092710610, 28729.085735721942674, 5226.4952788528545610],
);
#[rustfmt::skip]
#[expect(clippy::excessive_precision, reason = "the digits as published")]
const MIDDLE: Rational = (
    [1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
     1.27045825245236838258, 0.241780725177450611770, 0.0227238449892691845833, 7.74545014278341407640e-4],
    [1.0, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550,
     0.148103976427480074590, 0.0151986665636164571966, 5.47593808499534494600e-4, 1.05075007164441684324e-9],
);
#[rustfmt::skip]
#[expect(clippy::excessive_precision, reason = "the digits as published")]
const TAIL: Rational = (
    [6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 0.296560571828504891230,
     0.0265321895265761230930, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7],
    [1.0, 0.599832206555887937690, 0.136929880922735805310, 0.0148753612908506148525,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15],
);

/// The number below which a fraction `p ∈ [0, 1]` of the beta distribution lies,
/// by bisection, which is exact to rounding and quick enough for grids.
pub(crate) fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 {
        return p.clamp(0.0, 1.0);
    }
    let norm = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b)).exp();
    let [mut low, mut high] = [0.0, 1.0];
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if beta_cdf(middle, a, b, norm) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// Regularised incomplete beta function by its continued fraction (DLMF 8.17.22);
/// `norm` is `1/B(a, b)`.
fn beta_cdf(x: f64, a: f64, b: f64, norm: f64) -> f64 {
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_cdf(1.0 - x, b, a, norm);
    }
    norm * x.powf(a) * (1.0 - x).powf(b) / a / beta_fraction(x, a, b)
}

/// `1 + d1/(1 + d2/(1 + …))` by Lentz's method.
fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    let [mut value, mut c, mut d] = [1.0, 1.0, 0.0];
    for i in 1..400_u32 {
        let m = f64::from(i / 2);
        let term = if i % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        d = 1.0 / away_from_zero(1.0 + term * d);
        c = away_from_zero(1.0 + term / c);
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}

fn away_from_zero(x: f64) -> f64 {
    if x.abs() < 1e-300 { 1e-300 } else { x }
}

/// Logarithm of the gamma function for positive `x`, to about 1e-14: Stirling's series (DLMF 5.11.1)
/// at `x + 12`, carried down by the recurrence.
fn ln_gamma(x: f64) -> f64 {
    let product: f64 = (0..12).map(|i| x + f64::from(i)).product();
    let y = x + 12.0;
    let z = 1.0 / (y * y);
    let tail = 1.0 / 1260.0 - z * (1.0 / 1680.0 - z / 1188.0);
    let series = (1.0 / 12.0 - z * (1.0 / 360.0 - z * tail)) / y;
    (y - 0.5) * y.ln() - y + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - product.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_known_distributions() {
        assert_eq!(normal_quantile(0.5), 0.0);
        for (p, z) in
            [(0.975, 1.959963984540054), (1e-10, -6.361340902404056), (0.25, -0.6744897501960817)]
        {
            assert!((normal_quantile(p) - z).abs() < 1e-14 * z.abs(), "{p}");
        }
        for p in [1e-9_f64, 0.1, 0.5, 0.77, 0.999] {
            // Uniform, arcsine, and x² have closed forms.
            assert!((beta_quantile(p, 1.0, 1.0) - p).abs() < 1e-13);
            let arcsine = (std::f64::consts::FRAC_PI_2 * p).sin().powi(2);
            assert!((beta_quantile(p, 0.5, 0.5) - arcsine).abs() < 1e-13);
            assert!((beta_quantile(p, 2.0, 1.0) - p.sqrt()).abs() < 1e-13);
        }
    }

    #[test]
    fn gamma_of_whole_and_half_numbers() {
        // The terms reach 20, whose unit in the last place is 4e-15.
        assert!(ln_gamma(1.0).abs() < 4e-14 && ln_gamma(2.0).abs() < 4e-14);
        assert!((ln_gamma(5.0) - 24_f64.ln()).abs() < 4e-14);
        assert!((ln_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 4e-14);
    }

    #[test]
    fn numbers_outside_come_inside() {
        for u in [f64::NAN, -1.0, 0.0, 1.0, 2.0, f64::INFINITY] {
            assert!(inside(u) > 0.0 && inside(u) < 1.0);
            assert!(normal_quantile(inside(u)).is_finite());
        }
    }
}
