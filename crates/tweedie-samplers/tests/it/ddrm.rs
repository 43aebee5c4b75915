//! DDRM against its formulas with a dense decomposition, and against the posterior of normal data.

use crate::max_difference;
use tch::{Device, Kind, Tensor};
use tweedie_core::closed_form::Gaussian;
use tweedie_core::inverse::{AveragePool, Blur, Ddnm, LinearOperator, Mask, Spectral};
use tweedie_core::{Grid, Noise, NoiseLevel, Result};
use tweedie_samplers::{Ddrm, Euler, Sampler};

const SHAPE: [i64; 4] = [1, 1, 4, 6];
const D: i64 = 24;

fn normal(seed: u64) -> Tensor {
    Noise::seeded(seed).initial(&SHAPE, Kind::Double, Device::Cpu).unwrap()
}

fn mask() -> Mask {
    Mask::new(&normal(1).reshape([4, 6]).gt(0.2)).unwrap()
}

fn pool() -> AveragePool {
    AveragePool::new(2).unwrap()
}

fn blur() -> Blur {
    let kernel = normal(2).abs().reshape([4, 6]).narrow(0, 0, 3).narrow(1, 0, 3);
    Blur::new(&(&kernel / kernel.sum(Kind::Double)), [4, 6]).unwrap()
}

/// Its matrix `[m, d]`.
fn dense(a: &impl LinearOperator) -> Tensor {
    let eye = Tensor::eye(D, (Kind::Double, Device::Cpu)).reshape([D, 1, 4, 6]);
    a.apply(&eye).unwrap().reshape([D, -1]).tr()
}

/// `V·f(Σ)·Vᵀ` with the decomposition of `AᵀA`.
fn spectral(dense: &Tensor, x: &Tensor, f: impl Fn(f64) -> f64) -> Tensor {
    let (squares, v) = dense.tr().matmul(dense).linalg_eigh("L");
    let values = tweedie_torch::tensor::to_f64(&squares).unwrap();
    let f: Vec<f64> = values.iter().map(|s| f(if *s > 1e-10 { s.sqrt() } else { 0.0 })).collect();
    let f = Tensor::from_slice(&f).reshape([D, 1]);
    v.matmul(&(v.tr().matmul(&x.reshape([D, 1])) * f)).reshape(SHAPE)
}

/// Roundings of a decomposition of 24 numbers, through the square root of an eigenvalue.
fn spectra_agree(a: &impl Spectral) {
    let f = |s: f64| if s == 0.0 { 0.3 } else { 1.0 / (0.2 + s) };
    let x = normal(3);
    let off = max_difference(&a.spectral(&x, &f).unwrap(), &spectral(&dense(a), &x, f));
    assert!(off < 1e-9, "off by {off:e}");
}

#[test]
fn operators_know_their_singular_values() {
    spectra_agree(&mask());
    spectra_agree(&pool());
    spectra_agree(&blur());
}

/// One step, written out by eqs. 7 and 8 with the dense decomposition; its end is such that the
/// blur's directions are on both sides of the measurement's noise.
fn a_step_is_the_papers(a: &(impl Spectral + Clone + Send + 'static), noise_std: f64) {
    let (x, y, z) = (normal(4) * 3.0, a.apply(&normal(5)).unwrap(), normal(6));
    let (from, to, eta, eta_b) = (NoiseLevel::vp(3.0), NoiseLevel::vp(0.6), 0.8, 0.7);
    let estimate = |x: &Tensor, _: NoiseLevel| -> Result<Tensor> { Ok(x.sin()) };
    let grid = Grid::from_levels(vec![from, to]).unwrap();
    let ddrm = Ddrm::new(a.clone(), y.copy(), noise_std).unwrap().etas(eta, eta_b).unwrap();
    let ours = ddrm.sample(&estimate, x.copy(), &grid, Noise::replay([z.copy()])).unwrap();

    let matrix = dense(a);
    let part = |t: &Tensor, f: &dyn Fn(f64) -> f64| spectral(&matrix, t, f);
    let (x0, x_ve, s_to) = (x.sin(), &x / from.alpha, 0.6);
    let y_bar = matrix.linalg_pinv(1e-8, false).matmul(&y.reshape([-1, 1])).reshape(SHAPE);
    let known = |s: f64| noise_std / s;
    let unseen = |s: f64| f64::from(u8::from(s == 0.0));
    let below = |s: f64| f64::from(u8::from(s > 0.0 && s_to < known(s)));
    let above = |s: f64| f64::from(u8::from(s > 0.0 && s_to >= known(s)));
    let kept = f64::sqrt(1.0 - eta * eta) * s_to;
    let expected = part(&(&x0 + (x_ve - &x0) * (kept / 3.0) + &z * (eta * s_to)), &unseen)
        + part(&(&x0 + &z * (eta * s_to)), &below)
        + part(&(&y_bar - &x0), &|s| if below(s) > 0.0 { kept / known(s) } else { 0.0 })
        + part(&(&x0 * (1.0 - eta_b) + &y_bar * eta_b), &above)
        + part(&z, &|s| match above(s) > 0.0 {
            true => (s_to * s_to - (eta_b * known(s)).powi(2)).sqrt(),
            false => 0.0,
        });
    let off = max_difference(&ours, &(expected * to.alpha));
    assert!(off < 1e-8, "noise {noise_std}: off by {off:e}");
}

#[test]
fn steps_are_the_papers() {
    for noise_std in [0.0, 0.1, 0.35, 2.0] {
        a_step_is_the_papers(&mask(), noise_std);
        a_step_is_the_papers(&pool(), noise_std);
        a_step_is_the_papers(&blur(), noise_std);
    }
}

fn data() -> Gaussian {
    Gaussian::new(Tensor::from_slice(&[0.4]), Tensor::from_slice(&[1.7])).unwrap()
}

fn grid(steps: usize) -> Grid {
    let falling = (0..steps).map(|i| NoiseLevel::vp(20.0 * 0.001f64.powf(i as f64 / steps as f64)));
    Grid::from_levels(falling.chain([NoiseLevel::vp(0.0)]).collect()).unwrap()
}

/// Exact measurements of normal data, without fresh noise elsewhere: what was measured is met, the
/// rest is what the prior's ODE makes of its start, which is a draw from the posterior; and Euler's
/// method with DDNM's estimate agrees to rounding.
fn is_the_posterior(a: &(impl Spectral + Clone + Send + 'static)) {
    let y = a.apply(&normal(7)).unwrap();
    let y_bar = a.pseudo_inverse(&y).unwrap();
    let end = |steps: usize| {
        let grid = grid(steps);
        let ddrm = Ddrm::new(a.clone(), y.copy(), 0.0).unwrap().etas(0.0, 1.0).unwrap();
        let x = ddrm.sample(&data(), normal(8), &grid, Noise::seeded(1)).unwrap();
        assert!(max_difference(&a.apply(&x).unwrap(), &y) < 1e-12);
        let ddnm = Ddnm::new(data(), a.clone(), y.copy());
        let other = Euler.sample(&ddnm, normal(8), &grid, Noise::replay([])).unwrap();
        assert!(max_difference(&x, &other) < 1e-12, "DDNM");
        x
    };
    let start = NoiseLevel::vp(20.0);
    let spread = (1.7 / (1.7 * start.alpha.powi(2) + start.sigma.powi(2))).sqrt();
    let free = (normal(8) - 0.4 * start.alpha) * spread + 0.4;
    let exact = &free - a.spectral(&free, &|s| f64::from(u8::from(s > 0.0))).unwrap() + y_bar;
    let order = (max_difference(&end(200), &exact) / max_difference(&end(400), &exact)).log2();
    assert!((order - 1.0).abs() < 0.2, "order {order}");
}

#[test]
fn exact_measurements_give_the_posterior() {
    is_the_posterior(&mask());
    is_the_posterior(&pool());
}

#[test]
fn what_does_not_fit_is_refused() {
    let y = mask().apply(&normal(5)).unwrap();
    assert!(Ddrm::new(mask(), y.copy(), -1.0).is_err());
    assert!(Ddrm::new(mask(), y.copy(), 0.1).unwrap().etas(1.5, 1.0).is_err());
    let run = |y: Tensor| {
        let ddrm = Ddrm::new(mask(), y, 0.1).unwrap();
        ddrm.sample(&data(), normal(8), &grid(3), Noise::seeded(0)).unwrap_err().to_string()
    };
    let wide = run(Tensor::cat(&[&y, &y], 0));
    assert!(wide.contains("A⁺·y has shape [2, 1, 4, 6]"), "{wide}");
    let single = run(y.to_kind(Kind::Float));
    assert!(single.contains("the measurement is Float"), "{single}");
    let broken = |x: &Tensor, _: NoiseLevel| -> Result<Tensor> { Ok(x.full_like(f64::NAN)) };
    let ddrm = Ddrm::new(mask(), y, 0.1).unwrap();
    let error = ddrm.sample(&broken, normal(8), &grid(3), Noise::seeded(0)).unwrap_err();
    assert!(error.to_string().contains("not finite at step 0"), "{error}");
}
