//! Orders of convergence, and the distribution at the end.

use crate::{all, max_difference, mixture, unit_noise};
use tch::Tensor;
use tweedie_core::{Grid, Noise, NoiseLevel};
use tweedie_samplers::{Frame, Heun, Sampler};

/// Levels from sigma/alpha = 20 to 0.05, evenly spaced in ρ = 7 powers, on a path.
fn grid(steps: usize, path: fn(f64) -> NoiseLevel) -> Grid {
    let at = |i: usize| {
        let u = i as f64 / steps as f64;
        (20f64.powf(1.0 / 7.0) * (1.0 - u) + 0.05f64.powf(1.0 / 7.0) * u).powi(7)
    };
    Grid::from_levels((0..=steps).map(|i| path(at(i))).collect()).unwrap()
}

fn solve(sampler: &dyn Sampler, steps: usize, path: fn(f64) -> NoiseLevel) -> Tensor {
    let grid = grid(steps, path);
    let (first, last) = (grid.levels()[0], grid.levels()[steps]);
    let x = unit_noise(64) * first.sigma;
    sampler.sample(&mixture(), x, &grid, Noise::replay([])).unwrap() / last.alpha
}

/// Halving the steps' length divides the error by 2^order. The exact end is Heun's with 8,192.
#[test]
fn deterministic_samplers_have_their_order() {
    let exact = solve(&Heun::default(), 8192, NoiseLevel::ve);
    let frames: [Box<dyn Sampler>; 1] = [Box::new(Heun { frame: Frame::Flow })];
    let named = all().into_iter().filter(|(info, _)| !info.stochastic);
    let samplers =
        named.map(|(i, s)| (i.name, i.order, s)).chain(frames.map(|s| ("flow heun", 2, s)));
    for (name, order, sampler) in samplers {
        for path in [NoiseLevel::ve, NoiseLevel::vp, |s: f64| NoiseLevel::flow(s / (1.0 + s))] {
            let error = |steps| max_difference(&solve(sampler.as_ref(), steps, path), &exact);
            let (coarse, fine) = (error(256), error(512));
            let measured = (coarse / fine).log2();
            assert!((measured - f64::from(order)).abs() < 0.25, "{name}: order {measured}");
        }
    }
}

/// From pure noise, 20,000 samples of every sampler have the mixture's weights, means and
/// variances. Three standard errors of a weight are 0.01; the solvers' own bias at 60 steps is
/// allowed as much again.
#[test]
fn samples_have_the_right_distribution() {
    let n = 20_000;
    for (info, sampler) in all() {
        let mut levels: Vec<f64> =
            grid(60, NoiseLevel::ve).levels().iter().map(|l| l.sigma).collect();
        levels.push(0.0);
        let grid = Grid::from_sigmas(&levels).unwrap();
        let x = unit_noise(n) * 20.0;
        let x = sampler.sample(&mixture(), x, &grid, Noise::seeded(5)).unwrap();
        // The two components are split by the sign along the line between their means.
        let along = x.select(1, 0) * 1.8 - x.select(1, 1) * 0.7;
        let right = along.gt(-0.12).to_kind(tch::Kind::Double);
        let share = right.mean(tch::Kind::Double).double_value(&[]);
        assert!((share - 0.7).abs() < 0.025, "{}: {share} right", info.name);
        let mean = x.mean_dim(0, false, tch::Kind::Double);
        assert!((mean.double_value(&[0]) - 0.26).abs() < 0.04, "{}: {mean}", info.name);
        assert!((mean.double_value(&[1]) - 0.01).abs() < 0.03, "{}: {mean}", info.name);
        let var = x.var_dim(0, true, false);
        // 0.3·0.04 + 0.7·0.16 within, 0.21·1.8² and 0.21·0.7² between the components.
        assert!((var.double_value(&[0]) - 0.8044).abs() < 0.05, "{}: {var}", info.name);
        assert!((var.double_value(&[1]) - 0.2269).abs() < 0.03, "{}: {var}", info.name);
    }
}
