//! Grids that are too short for the order, and their ends.

use crate::{all, max_difference, mixture, unit_noise};
use tch::Tensor;
use tweedie_core::{Denoiser, Grid, Noise, NoiseLevel};
use tweedie_samplers::{
    Coordinate, Deis, DpmPp2M, DpmPp3M, DpmSolver, Euler, ExponentialAb, Ipndm, Lms, Rk4, Sampler,
    SecondOrder, UniPc,
};

fn solve(sampler: &dyn Sampler, sigmas: &[f64]) -> Tensor {
    let grid = Grid::from_sigmas(sigmas).unwrap();
    sampler.sample(&mixture(), unit_noise(4) * sigmas[0], &grid, Noise::seeded(0)).unwrap()
}

fn same(a: &dyn Sampler, b: &dyn Sampler, sigmas: &[f64]) {
    let off = max_difference(&solve(a, sigmas), &solve(b, sigmas));
    assert!(off < 1e-12, "{sigmas:?}: off by {off:e}");
}

/// One and two steps, on every path, from pure noise and from less, to clean data and not quite:
/// always finite (a state that is not is an error).
#[test]
fn one_and_two_steps_are_finite() {
    let flow = |times: &[f64]| times.iter().map(|&t| NoiseLevel::flow(t)).collect();
    let vp = |ratios: &[f64]| ratios.iter().map(|&r| NoiseLevel::vp(r)).collect();
    let levels: [Vec<NoiseLevel>; 8] = [
        flow(&[1.0, 0.0]),
        flow(&[1.0, 0.5, 0.0]),
        flow(&[1.0, 0.5]),
        flow(&[0.9, 0.2, 0.1]),
        vp(&[f64::INFINITY, 0.0]),
        vp(&[f64::INFINITY, 3.0, 0.5]),
        vp(&[4096.0, 15.0, 0.0]),
        vp(&[1e-3, 1e-6]),
    ];
    for (info, sampler) in all() {
        for levels in &levels {
            let grid = Grid::from_levels(levels.clone()).unwrap();
            let x = unit_noise(3) * grid.start().sigma;
            let end = sampler.sample(&mixture(), x, &grid, Noise::seeded(0));
            if info.name == "euler-maruyama" && end.is_err() {
                // Its SDE ends somewhere; what lies beyond is refused, and that is tested there.
                assert!(grid.start().ratio() > 150.0);
                continue;
            }
            let end = end.unwrap_or_else(|error| panic!("{} {levels:?}: {error}", info.name));
            assert!(f64::try_from(end.abs().max()).unwrap() < 20.0, "{} {levels:?}", info.name);
        }
    }
}

/// One step to clean data is the denoiser's estimate, for all that evaluate nothing between.
#[test]
fn one_step_to_clean_data_is_the_estimate() {
    let (x, level) = (unit_noise(4) * 5.0, NoiseLevel::ve(5.0));
    let grid = Grid::from_sigmas(&[5.0, 0.0]).unwrap();
    let x0 = mixture().denoise(&x, level).unwrap();
    let between = ["midpoint", "predictor-corrector"];
    for (info, sampler) in all().into_iter().filter(|(info, _)| !between.contains(&info.name)) {
        let churn = info.name == "edm-stochastic";
        let end = sampler.sample(&mixture(), x.copy(), &grid, Noise::seeded(0)).unwrap();
        assert!(churn || max_difference(&end, &x0) < 1e-12, "{}", info.name);
    }
}

/// While too few estimates are there, a multistep solver is the one of lower order.
#[test]
fn a_grid_too_short_for_the_order_falls_back() {
    let one = [5.0, 2.0];
    let two = [5.0, 2.0, 1.0];
    let three = [5.0, 2.0, 1.0, 0.4];
    let exact = DpmPp2M { form: SecondOrder::Exact, ..Default::default() };
    let (ab, lms) = (|order| ExponentialAb { order }, |order| Lms { order });
    let uni = |order| UniPc { order, ..Default::default() };
    let deis = |order| Deis { order, ..Default::default() };
    for sampler in [&ab(4) as &dyn Sampler, &lms(4), &deis(4), &exact, &DpmPp3M::default()] {
        same(sampler, &Euler, &one);
    }
    same(&ab(4), &exact, &two);
    same(&DpmPp3M::default(), &exact, &two);
    same(&lms(4), &lms(2), &two);
    same(&deis(4), &deis(2), &two);
    same(&uni(3), &uni(2), &two);
    same(&Ipndm::default(), &Ipndm { order: 2 }, &two);
    same(&ab(4), &DpmPp3M::default(), &three);
    same(&lms(4), &lms(3), &three);
}

/// Solvers that are the same under two names.
#[test]
fn names_that_mean_the_same() {
    let sigmas = [8.0, 5.0, 3.0, 2.0, 1.0, 0.4, 0.1, 0.0];
    same(&Lms { order: 3 }, &Deis { coordinate: Coordinate::Rho, ..Default::default() }, &sigmas);
    same(&ExponentialAb { order: 3 }, &DpmPp3M::default(), &sigmas);
    same(&ExponentialAb { order: 1 }, &Euler, &sigmas);
    same(&DpmSolver { order: 1 }, &Euler, &sigmas);
    same(&Deis { order: 1, ..Default::default() }, &Euler, &sigmas);
    let line = DpmPp2M { form: SecondOrder::Exact, ..Default::default() };
    same(&ExponentialAb { order: 2 }, &line, &sigmas);
}

/// The last step to clean data is the limit of ever smaller last levels, where there is one.
#[test]
fn the_step_to_no_noise_is_a_limit() {
    for coordinate in [Coordinate::Time, Coordinate::Rho] {
        let deis = Deis { coordinate, ..Default::default() };
        let ends = [0.0, 1e-9].map(|end| solve(&deis, &[5.0, 2.0, 1.0, 0.5, 0.3, end]));
        let off = max_difference(&ends[0], &ends[1]);
        assert!(off < 1e-6, "{coordinate:?}: off by {off:e}");
    }
}

#[test]
fn orders_that_do_not_exist_are_refused() {
    let refused = |sampler: &dyn Sampler| {
        let grid = Grid::from_sigmas(&[2.0, 1.0]).unwrap();
        let end = sampler.sample(&mixture(), unit_noise(1), &grid, Noise::seeded(0));
        assert!(end.unwrap_err().to_string().contains("order is"));
    };
    for order in [0, 5, usize::MAX] {
        refused(&Lms { order });
        refused(&ExponentialAb { order });
        refused(&Ipndm { order });
        refused(&DpmSolver { order });
        refused(&Deis { order, ..Default::default() });
        refused(&UniPc { order, ..Default::default() });
    }
    // A fourth order of Runge–Kutta needs no past.
    let _ = solve(&Rk4::default(), &[2.0, 1.0]);
}
