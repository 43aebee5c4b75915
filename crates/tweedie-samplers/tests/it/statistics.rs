//! DPM-Solver-v3 and the statistics that it goes by.

use crate::{max_difference, mixture, unit_noise};
use tch::Tensor;
use tweedie_core::{Denoiser, Grid, Noise, NoiseLevel, Result, closed_form::Gaussian};
use tweedie_samplers::{
    Coordinate, Deis, DpmSolverV3, EmpiricalStatistics, ExponentialAb, NormalData, Rk4, Sampler,
    SamplerSpec, Statistics, Tables,
};

const PATHS: [fn(f64) -> NoiseLevel; 3] =
    [NoiseLevel::ve, NoiseLevel::vp, |r: f64| NoiseLevel::flow(r / (1.0 + r))];

/// Noise ratios in geometric progression, `steps` steps.
fn levels(from: f64, to: f64, steps: usize, path: fn(f64) -> NoiseLevel) -> Vec<NoiseLevel> {
    (0..=steps).map(|i| path(from * (to / from).powf(i as f64 / steps as f64))).collect()
}

fn flat(l: f64, s: f64, b: f64) -> EmpiricalStatistics {
    let [lambda, l, s, b] = [0.0, l, s, b].map(|v| vec![v]);
    Tables { lambda, l, s, b }.try_into().unwrap()
}

fn v3<S>(order: usize, statistics: S) -> DpmSolverV3<S> {
    DpmSolverV3 { order, corrector: false, statistics }
}

fn solve(sampler: &dyn Sampler, denoiser: &dyn Denoiser, levels: &[NoiseLevel]) -> Tensor {
    let grid = Grid::from_levels(levels.to_vec()).unwrap();
    let x = unit_noise(16) * grid.start().sigma;
    sampler.sample(denoiser, x, &grid, Noise::replay([])).unwrap() / grid.end().alpha
}

/// With these statistics it is a solver that is known. Roundings of Lagrange polynomials.
#[test]
fn constant_statistics_are_known_solvers() {
    for path in PATHS {
        let levels = [levels(20.0, 0.1, 9, path), vec![path(0.0)]].concat();
        for order in 1..=3 {
            let same = |a: &dyn Sampler, b: &dyn Sampler| {
                let off =
                    max_difference(&solve(a, &mixture(), &levels), &solve(b, &mixture(), &levels));
                assert!(off < 1e-11, "order {order}: off by {off:e}");
            };
            same(&v3(order, flat(1.0, 0.0, 0.0)), &ExponentialAb { order });
            same(&v3(order, NormalData { sigma_data: 0.0 }), &ExponentialAb { order });
            let eps = Deis { order, coordinate: Coordinate::LogRho, lower_order_final: false };
            same(&v3(order, flat(0.0, -1.0, 0.0)), &eps);
        }
    }
}

fn data(mean: f64, variance: &[f64]) -> Gaussian {
    Gaussian::new(Tensor::from_slice(&[mean]), Tensor::from_slice(variance)).unwrap()
}

fn draws(mean: f64, variance: &[f64], n: i64) -> Tensor {
    unit_noise(n) * Tensor::from_slice(variance).sqrt() + mean
}

/// Normal data: one step of any length is exact. By measured statistics it is but for the straight
/// lines between their 300 places (the square of the distance, 4e-4).
#[test]
fn one_step_is_exact_for_normal_data() {
    let ends = [20.0, 0.05];
    let exact = |mean: f64, v: f64| {
        let spread = ((v + ends[1] * ends[1]) / (v + ends[0] * ends[0])).sqrt();
        (unit_noise(16) * ends[0] - mean) * spread + mean
    };
    for path in PATHS {
        let step = ends.map(path);
        let normal = v3(3, NormalData { sigma_data: 0.7 });
        let off = max_difference(&solve(&normal, &data(0.0, &[0.49]), &step), &exact(0.0, 0.49));
        assert!(off < 1e-12, "off by {off:e}");
        let gaussian = data(0.3, &[0.49]);
        let table = EmpiricalStatistics::estimate(
            &gaussian,
            &draws(0.3, &[0.49], 50),
            &levels(25.0, 0.04, 300, path),
            &mut Noise::seeded(3),
        );
        let off =
            max_difference(&solve(&v3(1, table.unwrap()), &gaussian, &step), &exact(0.3, 0.49));
        assert!(off < 2e-4, "off by {off:e}");
    }
}

/// `l = mean lᵢ` with `lᵢ = sigma²/(vᵢ + sigma²)`, and least squares over `fᵢ = (lᵢ − l)·yᵢ`,
/// `dyᵢ/dλ = −lᵢ·yᵢ`. From 20,000 samples; their covariances are right to one in a hundred.
#[test]
fn statistics_of_normal_data_are_the_closed_forms() {
    let v = [0.04, 1.44];
    let levels = levels(10.0, 0.05, 40, NoiseLevel::vp);
    let data_set = draws(0.0, &v, 20_000);
    let estimate =
        EmpiricalStatistics::estimate(&data(0.0, &v), &data_set, &levels, &mut Noise::seeded(2));
    let estimate = estimate.unwrap();
    for (i, level) in levels.iter().enumerate().skip(1).take(39) {
        let square = level.ratio().powi(2);
        let each = v.map(|v| square / (v + square));
        // dl/dλ of σ²/(v + σ²) with d(σ²)/dλ = −2σ²
        let slopes = v.map(|v| -2.0 * square * v / (v + square).powi(2));
        let (l, slope) = ((each[0] + each[1]) / 2.0, (slopes[0] + slopes[1]) / 2.0);
        let (mut with, mut own) = (0.0, 0.0);
        for j in 0..2 {
            let (f, total) = (each[j] - l, v[j] + square);
            with += f * (slopes[j] - slope - f * each[j]) * total;
            own += f * f * total;
        }
        let tables = estimate.tables();
        assert!((tables.l[i] - l).abs() < 1e-5, "l at {level:?}: {} not {l}", tables.l[i]);
        let s = with / own;
        assert!((tables.s[i] - s).abs() < 0.05 + 0.03 * s.abs(), "s: {} not {s}", tables.s[i]);
        assert!(tables.b[i].abs() < 0.03, "b: {}", tables.b[i]);
    }
    // Normal data about 0.3, of one variance: f = −0.3·l for every sample, so b is its slope.
    let shifted = EmpiricalStatistics::estimate(
        &data(0.3, &[0.49]),
        &draws(0.3, &[0.49], 10),
        &levels,
        &mut Noise::seeded(2),
    );
    let tables = Tables::from(shifted.unwrap());
    for (i, level) in levels.iter().enumerate().skip(1).take(39) {
        let square = level.ratio().powi(2);
        let b = 0.3 * 2.0 * square * 0.49 / (0.49 + square).powi(2);
        // The slope of l is a difference over a step of 0.13.
        assert!(tables.s[i] == 0.0 && (tables.b[i] - b).abs() < 5e-3, "b: {} not {b}", tables.b[i]);
    }
}

/// What the statistics are for: with few steps the error is less than with the solver's forms for the
/// data's and the noise's estimate. (With many, what the polynomial's order leaves decides.)
#[test]
fn a_models_own_statistics_help_in_few_steps() {
    let ends = levels(20.0, 0.05, 2000, NoiseLevel::vp);
    let exact = solve(&Rk4::default(), &mixture(), &ends);
    let fine = [levels(30.0, 0.04, 60, NoiseLevel::ve), vec![NoiseLevel::ve(0.0)]].concat();
    let grid = Grid::from_levels(fine).unwrap();
    let x = unit_noise(2000) * 30.0;
    let samples = Rk4::default().sample(&mixture(), x, &grid, Noise::replay([])).unwrap();
    let wide = levels(25.0, 0.04, 120, NoiseLevel::vp);
    let table = EmpiricalStatistics::estimate(&mixture(), &samples, &wide, &mut Noise::seeded(2));
    let table = table.unwrap();
    for (steps, order) in [(5, 1), (8, 1), (12, 1), (5, 2), (8, 2), (12, 2), (5, 3)] {
        let levels = levels(20.0, 0.05, steps, NoiseLevel::vp);
        let error = |sampler: &dyn Sampler| {
            let off = solve(sampler, &mixture(), &levels) - &exact;
            off.square().mean(tch::Kind::Double).sqrt().double_value(&[])
        };
        let ours = error(&v3(order, table.clone()));
        let x0 = error(&ExponentialAb { order });
        let eps = error(&Deis { order, coordinate: Coordinate::LogRho, lower_order_final: false });
        println!("{steps} steps, order {order}: {ours:.4}, without {x0:.4} and {eps:.4}");
        assert!(ours < 0.9 * x0.min(eps), "{steps} steps, order {order}: {ours}, not below {x0}");
    }
}

/// Tables go through JSON; what is no table is refused.
#[test]
fn tables_are_checked() {
    let table = flat(0.5, 0.1, 0.0);
    let json = serde_json::to_string(&table).unwrap();
    assert_eq!(serde_json::from_str::<EmpiricalStatistics>(&json).unwrap(), table);
    assert!(
        (table.integral_l(-1.0, 3.0) - 2.0).abs() < 1e-15 && table.knots(-9.0, -1.0).is_empty()
    );
    for wrong in [
        r#"{"lambda": [], "l": [], "s": [], "b": []}"#,
        r#"{"lambda": [0.0, 1.0], "l": [1.0], "s": [0.0, 0.0], "b": [0.0, 0.0]}"#,
        r#"{"lambda": [1.0, 1.0], "l": [1.0, 1.0], "s": [0.0, 0.0], "b": [0.0, 0.0]}"#,
        r#"{"lambda": [0.0], "l": [1e999], "s": [0.0], "b": [0.0]}"#,
    ] {
        assert!(serde_json::from_str::<EmpiricalStatistics>(wrong).is_err(), "{wrong}");
    }
    let spec = r#"{"name": "dpm-solver-v3", "statistics": {"sigma_data": -1.0}}"#;
    let spec: SamplerSpec = serde_json::from_str(spec).unwrap();
    assert!(spec.build().solver().err().unwrap().to_string().contains("sigma_data is -1"));
    assert!(v3(4, NormalData::default()).solver().is_err());
    let estimate = |denoiser: &dyn Denoiser, levels: &[NoiseLevel]| {
        EmpiricalStatistics::estimate(denoiser, &unit_noise(3), levels, &mut Noise::seeded(0))
            .unwrap_err()
            .to_string()
    };
    let clean = estimate(&mixture(), &[NoiseLevel::ve(1.0), NoiseLevel::ve(0.0)]);
    assert!(clean.contains("its lambda is infinite"), "{clean}");
    let rising = estimate(&mixture(), &[NoiseLevel::ve(1.0), NoiseLevel::ve(2.0)]);
    assert!(rising.contains("lambda is"), "{rising}");
    let broken = |x: &Tensor, l: NoiseLevel| -> Result<Tensor> {
        Ok(if l.sigma < 0.9 { x.full_like(f64::NAN) } else { x * 0.5 })
    };
    let broken = estimate(&broken, &[NoiseLevel::ve(1.0), NoiseLevel::ve(0.5)]);
    assert!(broken.contains("not finite at step 1"), "{broken}");
}
