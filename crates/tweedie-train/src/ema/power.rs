//! Power-function averages (Karras et al., "Analyzing and Improving the Training Dynamics of
//! Diffusion Models", arXiv:2312.02696, section 3 and appendix C), "EDM2".

use crate::{Error, Result};
use tch::{Kind, Tensor};
use tweedie_torch::tensor;

/// The average of a run up to `step` in which the weights of step `t` count as `t^gamma`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// The exponent, at least 0.
    pub gamma: f64,
    /// The last step that counts, above 0.
    pub step: f64,
}

/// The widest profile with an exponent of at least 0: a plain mean of the whole run.
const WIDEST: f64 = 0.288_675_134_594_812_9; // 1/√12

/// The exponent of the profile whose standard deviation is `sigma_rel` of the run so far: the
/// root of `(γ+2)²(γ+3) − (γ+1)/sigma_rel²` (Algorithm 2).
///
/// # Errors
/// Unless `sigma_rel` is in (0, 1/√12].
pub fn gamma(sigma_rel: f64) -> Result<f64> {
    if !(sigma_rel > 0.0 && sigma_rel <= WIDEST) {
        return Err(Error::invalid("sigma_rel", sigma_rel, "a number above 0, at most 0.2886"));
    }
    // The deviation falls with the exponent, and is less than its inverse.
    let (mut low, mut high) = (0.0, 1.0 / sigma_rel);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        match deviation(middle) > sigma_rel {
            true => low = middle,
            false => high = middle,
        }
    }
    Ok(high)
}

/// The standard deviation of a profile, relative to the run so far:
/// `(γ+1)^½ (γ+2)⁻¹ (γ+3)^−½` (section 3.1).
pub fn deviation(gamma: f64) -> f64 {
    ((gamma + 1.0) / (gamma + 3.0)).sqrt() / (gamma + 2.0)
}

/// How much of the average stays at step `step`, counted from 1: `(1 − 1/step)^(γ+1)` (section 3.1).
/// Then the weights of step `t` have counted by exactly the profile's integral from `t − 1` to `t`.
pub fn decay(gamma: f64, step: u64) -> f64 {
    (1.0 - 1.0 / step.max(1) as f64).powf(gamma + 1.0)
}

/// What each of the `stored` averages is to be multiplied by so that their sum is as near as can
/// be, in the mean square of the profiles, to the average `target` (Algorithm 3).
///
/// # Errors
/// If there are none, or a profile makes no sense.
pub fn coefficients(stored: &[Profile], target: Profile) -> Result<Vec<f64>> {
    if stored.is_empty() {
        return Err(Error::invalid("the number of stored averages", 0, "at least 1"));
    }
    let sound = |p: &Profile| p.gamma.is_finite() && p.gamma >= 0.0 && p.step.is_finite();
    if let Some(p) = stored.iter().chain([&target]).find(|p| !(sound(p) && p.step > 0.0)) {
        let found = format!("t^{} up to step {}", p.gamma, p.step);
        return Err(Error::invalid("a profile", found, "an exponent and a step above 0"));
    }
    // Of unit length each, so that early and late averages are equally well determined.
    let length: Vec<f64> = stored.iter().map(|&p| product(p, p).sqrt()).collect();
    let pairs = stored.iter().zip(&length);
    let matrix: Vec<f64> = pairs
        .clone()
        .flat_map(|(&a, la)| pairs.clone().map(move |(&b, lb)| product(a, b) / (la * lb)))
        .collect();
    let right: Vec<f64> = pairs.map(|(&p, l)| product(p, target) / l).collect();
    let solved = solve(&matrix, &right)?;
    Ok(solved.iter().zip(&length).map(|(x, l)| x / l).collect())
}

/// The integral of the product of two profiles (appendix C):
/// `(γa+1)(γb+1) (ta/tb)^γb / ((γa+γb+1) tb)` for `ta ≤ tb`.
fn product(a: Profile, b: Profile) -> f64 {
    let (a, b) = if a.step <= b.step { (a, b) } else { (b, a) };
    (a.gamma + 1.0) * (b.gamma + 1.0) * (a.step / b.step).powf(b.gamma)
        / ((a.gamma + b.gamma + 1.0) * b.step)
}

/// The shortest least-squares solution of a symmetric system: averages of neighbouring steps are
/// nearly the same, and what rounding makes of their differences must not decide.
fn solve(matrix: &[f64], right: &[f64]) -> Result<Vec<f64>> {
    let n = right.len() as i64;
    let torch = |e| Error::from(tweedie_torch::Error::from(e));
    let (values, vectors) = tensor::from_f64(matrix, &[n, n])?.f_linalg_eigh("L").map_err(torch)?;
    let least = values.max() * (f64::EPSILON * n as f64);
    let inverse = values.reciprocal().where_self(&values.gt_tensor(&least), &values.zeros_like());
    let right = tensor::from_f64(right, &[n])?;
    let solution: Tensor = vectors.mv(&(inverse * vectors.tr().mv(&right)));
    Ok(tensor::to_f64(&solution.to_kind(Kind::Double))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The paper's example (section 3.1): `sigma_rel = 0.10` gives γ ≈ 6.94, 0.05 gives 16.97.
    #[test]
    fn exponents_of_the_paper() {
        for (sigma_rel, expected) in [(0.10, 6.94), (0.05, 16.97)] {
            assert!((gamma(sigma_rel).unwrap() - expected).abs() < 5e-3);
        }
        assert!(gamma(WIDEST).unwrap() < 1e-6);
        for wrong in [0.0, -1.0, 0.3, f64::NAN] {
            assert!(gamma(wrong).is_err(), "{wrong}");
        }
    }

    /// A step's weights count by the integral of the profile over the step.
    #[test]
    fn decays_make_the_profile() {
        let (g, steps) = (gamma(0.1).unwrap(), 50);
        let mut weights = vec![0.0; steps];
        for step in 1..=steps {
            let keep = decay(g, step as u64);
            weights.iter_mut().for_each(|w| *w *= keep);
            weights[step - 1] = 1.0 - keep;
        }
        let part = |t: usize| (t as f64 / steps as f64).powf(g + 1.0);
        for (i, w) in weights.iter().enumerate() {
            assert!((w - (part(i + 1) - part(i))).abs() < 1e-12);
        }
    }

    proptest! {
        #[test]
        fn exponent_and_deviation_are_inverse(sigma_rel in 1e-4..WIDEST) {
            prop_assert!((deviation(gamma(sigma_rel).unwrap()) / sigma_rel - 1.0).abs() < 1e-9);
        }

        /// The integral by the midpoint rule.
        #[test]
        fn products_are_integrals(
            a in 0.0..10.0f64, b in 0.0..10.0f64, ta in 1.0..9.0f64, tb in 1.0..9.0f64,
        ) {
            let (a, b) = (Profile { gamma: a, step: ta }, Profile { gamma: b, step: tb });
            let density = |p: Profile, t: f64| match t <= p.step {
                true => (p.gamma + 1.0) * (t / p.step).powf(p.gamma) / p.step,
                false => 0.0,
            };
            let (n, end) = (20_000, ta.min(tb));
            let sum: f64 = (0..n).map(|i| end * (f64::from(i) + 0.5) / f64::from(n))
                .map(|t| density(a, t) * density(b, t)).sum();
            prop_assert!((sum * end / f64::from(n) - product(a, b)).abs() < 1e-4 * product(a, b));
        }
    }

    /// An average that is stored is its own reconstruction.
    #[test]
    fn what_is_stored_is_found() {
        let profile = |sigma_rel, step| Profile { gamma: gamma(sigma_rel).unwrap(), step };
        let stored: Vec<Profile> = [0.05, 0.1]
            .iter()
            .flat_map(|&s| [10.0, 20.0, 30.0].map(|step| profile(s, step)))
            .collect();
        let found = coefficients(&stored, profile(0.1, 30.0)).unwrap();
        for (i, x) in found.iter().enumerate() {
            assert!((x - f64::from(u8::from(i == 5))).abs() < 1e-7, "{found:?}");
        }
        assert!(coefficients(&[], profile(0.1, 1.0)).is_err());
        assert!(coefficients(&stored, Profile { gamma: f64::NAN, step: 1.0 }).is_err());
    }
}
