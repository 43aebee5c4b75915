//! Integrals of interpolating polynomials: the coefficients of every multistep solver.
//!
//! The exact solution of the ODE from one level to the next is an integral of an estimate against
//! a known weight (DPM-Solver, arXiv:2206.00927, eq. 3.4; DPM-Solver++, arXiv:2211.01095, eq. 8).
//! A multistep solver puts a polynomial through past estimates and integrates that.

/// The weight of the integral over `τ` from 0 to `h`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Weight {
    /// 1.
    Flat,
    /// `exp(−τ)`: of the noise estimate, in lambda.
    Falling,
    /// `exp(τ − h)`: of the data estimate, in lambda.
    Rising,
}

/// `∫₀ʰ w(τ) Lⱼ(τ) dτ` for every node `j`, with `Lⱼ` its Lagrange polynomial through `nodes`.
pub(crate) fn lagrange(weight: Weight, h: f64, nodes: &[f64]) -> Vec<f64> {
    lagrange_of(&moments(weight, h, nodes.len()), nodes)
}

/// The same from the integrals of the powers.
pub(crate) fn lagrange_of(moments: &[f64], nodes: &[f64]) -> Vec<f64> {
    let integral = |j| basis(nodes, j).iter().zip(moments).map(|(c, m)| c * m).sum();
    (0..nodes.len()).map(integral).collect()
}

/// `∫₀ʰ w(τ) τᵏ dτ` for `k < count`.
pub(crate) fn moments(weight: Weight, h: f64, count: usize) -> Vec<f64> {
    (0..count).map(|k| moment(weight, h, k)).collect()
}

/// The coefficients of `Lⱼ`, lowest power first.
fn basis(nodes: &[f64], j: usize) -> Vec<f64> {
    let mut polynomial = vec![1.0];
    for (_, node) in nodes.iter().enumerate().filter(|(k, _)| *k != j) {
        let scale = 1.0 / (nodes[j] - node);
        let mut product = vec![0.0; polynomial.len() + 1];
        for (i, c) in polynomial.iter().enumerate() {
            product[i + 1] += c * scale;
            product[i] -= c * scale * node;
        }
        polynomial = product;
    }
    polynomial
}

/// `Lⱼ(at)`.
pub(crate) fn basis_at(nodes: &[f64], j: usize, at: f64) -> f64 {
    let others = nodes.iter().enumerate().filter(|(k, _)| *k != j);
    others.map(|(_, node)| (at - node) / (nodes[j] - node)).product()
}

/// With `Rising` this is `h^{k+1} k! φ_{k+1}(−h)`, the functions of exponential
/// integrators.
fn moment(weight: Weight, h: f64, k: usize) -> f64 {
    let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
    let power = h.powi(k as i32 + 1);
    match weight {
        Weight::Flat => power / (k as f64 + 1.0),
        // The recursions by parts lose digits where h is small; the series converge fast there.
        Weight::Falling if h < 1.0 => {
            power * series(h, |j| 1.0 / (factorial(j) * (j + k + 1) as f64))
        }
        Weight::Falling => {
            let end = (-h).exp();
            (1..=k).fold(-(-h).exp_m1(), |m, i| i as f64 * m - h.powi(i as i32) * end)
        }
        Weight::Rising if h < 1.0 => power * series(h, |j| factorial(k) / factorial(j + k + 1)),
        Weight::Rising => (1..=k).fold(-(-h).exp_m1(), |m, i| h.powi(i as i32) - i as f64 * m),
    }
}

/// `Σⱼ (−h)ʲ cⱼ` for `h < 1` and coefficients that fall like `1/j!`.
fn series(h: f64, coefficient: impl Fn(usize) -> f64) -> f64 {
    (0..20).rev().fold(0.0, |sum, j| sum * -h + coefficient(j))
}

/// `∫ f` from `a` to `b` for an `f` that is smooth over lengths of 1: eight-point Gauss–Legendre
/// on panels of at most a half.
pub(crate) fn quadrature(a: f64, b: f64, f: impl Fn(f64) -> f64) -> f64 {
    const NODES: [(f64, f64); 4] = [
        (0.183_434_642_495_649_8, 0.362_683_783_378_362),
        (0.525_532_409_916_329, 0.313_706_645_877_887_3),
        (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
        (0.960_289_856_497_536_3, 0.101_228_536_290_376_26),
    ];
    let panels = ((b - a).abs() * 2.0).ceil().max(1.0);
    let half = (b - a) / panels / 2.0;
    let panel = |p: usize| {
        let middle = a + half * (2 * p + 1) as f64;
        let pair = |(t, w): &(f64, f64)| w * (f(middle - half * t) + f(middle + half * t));
        half * NODES.iter().map(pair).sum::<f64>()
    };
    (0..panels as usize).map(panel).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(weight: Weight, h: f64, t: f64) -> f64 {
        match weight {
            Weight::Flat => 1.0,
            Weight::Falling => (-t).exp(),
            Weight::Rising => (t - h).exp(),
        }
    }

    /// Both sides round: the sums cancel by the size of the Lagrange polynomials, below 100 here.
    #[test]
    fn exact_integrals_agree_with_quadrature() {
        for h in [1e-9, 1e-4, 0.03, 0.5, 0.999, 1.0, 1.7, 6.0, 30.0] {
            let all = [0.0, -0.7 * h, -1.9 * h, -2.4 * h];
            for n in 1..=4 {
                for nodes in [&all[..n], &[&[h], &all[..n]].concat()[..]] {
                    for w in [Weight::Flat, Weight::Falling, Weight::Rising] {
                        let exact = lagrange(w, h, nodes);
                        for (j, exact) in exact.iter().enumerate() {
                            let f = |t: f64| weight(w, h, t) * basis_at(nodes, j, t);
                            let off = (exact - quadrature(0.0, h, f)).abs();
                            assert!(off < 1e-12 * h, "{w:?} h {h} n {n} j {j}: off by {off:e}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_coefficients_of_adams_and_bashforth() {
        let ab = lagrange(Weight::Flat, 1.0, &[0.0, -1.0, -2.0, -3.0]);
        for (c, expected) in ab.iter().zip([55.0, -59.0, 37.0, -9.0]) {
            assert!((c - expected / 24.0).abs() < 1e-14);
        }
    }
}
