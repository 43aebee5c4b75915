//! Orders of convergence, and the distribution at the end.

use crate::{all, max_difference, mixture, unit_noise};
use tch::Tensor;
use tweedie_core::{Grid, Noise, NoiseLevel};
use tweedie_samplers::{
    BFunction, BogackiShampine, Coordinate, Deis, DormandPrince, DpmPp2M, DpmPp3M, DpmSolver,
    DpmSolverV3, ExponentialAb, Frame, Midpoint, NormalData, Pndm, Rk4, Sampler, SecondOrder,
    Statistics, Tolerance, UniC, UniP, UniPc,
};

/// The noise ratio at the share `u` of the way from 20 to 0.05, evenly spaced in ρ = 7 powers.
fn ratio(u: f64) -> f64 {
    (20f64.powf(1.0 / 7.0) * (1.0 - u) + 0.05f64.powf(1.0 / 7.0) * u).powi(7)
}

type Path = fn(f64) -> NoiseLevel;

const PATHS: [Path; 3] =
    [NoiseLevel::ve, NoiseLevel::vp, |ratio: f64| NoiseLevel::flow(ratio / (1.0 + ratio))];

fn grid(steps: usize, path: Path) -> Grid {
    let places = (0..=steps).map(|i| i as f64 / steps as f64);
    Grid::from_levels(places.map(|u| path(ratio(u))).collect()).unwrap()
}

/// The same with the first step cut into thirteen that double in length, so that what a multistep
/// solver loses while it begins with lower orders, `(h/4096)²`, does not count.
fn ramped(steps: usize, path: Path) -> Grid {
    let ramp = (1..=12).rev().map(|k| 0.5f64.powi(k));
    let places = [0.0].into_iter().chain(ramp).chain((1..=steps).map(|i| i as f64));
    Grid::from_levels(places.map(|u| path(ratio(u / steps as f64))).collect()).unwrap()
}

fn solve(sampler: &dyn Sampler, grid: &Grid) -> Tensor {
    let x = unit_noise(16) * grid.start().sigma;
    sampler.sample(&mixture(), x, grid, Noise::replay([])).unwrap() / grid.end().alpha
}

/// `log₂` of what halving the steps' length divides the error by.
fn measured(
    sampler: &dyn Sampler,
    steps: usize,
    grid: impl Fn(usize) -> Grid,
    exact: &Tensor,
) -> f64 {
    let error = |steps| max_difference(&solve(sampler, &grid(steps)), exact);
    (error(steps) / error(2 * steps)).log2()
}

/// Classical Runge–Kutta with 4,096 steps: its error is below 1e-11.
fn exact() -> Tensor {
    solve(&Rk4 { frame: Frame::Flow }, &grid(4096, NoiseLevel::ve))
}

/// Adaptive methods with a tolerance that accepts every step take those of the grid.
fn by_the_grid() -> Tolerance {
    Tolerance { rtol: 1e6, ..Default::default() }
}

/// Statistics with all three functions, right for no model: the solution must not depend on them.
#[derive(Clone, Copy)]
struct Waves;

impl Statistics for Waves {
    fn l(&self, lambda: f64) -> f64 {
        0.5 + 0.3 * lambda.sin()
    }
    fn b(&self, lambda: f64) -> f64 {
        0.4 * (0.7 * lambda).cos()
    }
    fn integral_l(&self, from: f64, to: f64) -> f64 {
        0.5 * (to - from) - 0.3 * (to.cos() - from.cos())
    }
    /// `s = −0.4 + 0.2·cos λ`.
    fn integral_s(&self, from: f64, to: f64) -> f64 {
        -0.4 * (to - from) + 0.2 * (to.sin() - from.sin())
    }
}

/// Every listed sampler, and other settings that have an order of their own.
fn deterministic() -> Vec<(String, u32, Box<dyn Sampler>)> {
    let mut samplers: Vec<(String, u32, Box<dyn Sampler>)> = all()
        .into_iter()
        .filter(|(info, sampler)| !info.stochastic && !sampler.is_adaptive())
        .map(|(info, sampler)| (info.name.to_owned(), info.order, sampler))
        .collect();
    let mut add = |order, sampler: Box<dyn Sampler>, name: String| {
        samplers.push((name, order, sampler));
    };
    add(3, Box::new(BogackiShampine(by_the_grid())), "bogacki-shampine".into());
    add(5, Box::new(DormandPrince(by_the_grid())), "dormand-prince".into());
    add(2, Box::new(Midpoint { frame: Frame::Flow }), "midpoint flow".into());
    add(4, Box::new(Rk4 { frame: Frame::Flow }), "rk4 flow".into());
    let exact = DpmPp2M { form: SecondOrder::Exact, ..Default::default() };
    add(2, Box::new(exact), "dpmpp-2m exact".into());
    let half = DpmPp3M { half_difference: true, ..Default::default() };
    add(2, Box::new(half), "dpmpp-3m as diffusers has it".into());
    for order in 1..=3 {
        add(order, Box::new(DpmSolver { order: order as usize }), format!("dpm-solver {order}"));
        for b in [BFunction::B1, BFunction::B2] {
            let order = order as usize;
            let unipc = UniPc { order, b, lower_order_final: false };
            add(order as u32 + 1, Box::new(unipc), format!("unipc {order} {b:?}"));
            let unip = UniP { order, b, lower_order_final: false };
            add(order as u32, Box::new(unip), format!("unip {order} {b:?}"));
        }
    }
    for order in 1..=4 {
        let ab = ExponentialAb { order: order as usize };
        add(order, Box::new(ab), format!("exponential-ab {order}"));
        for coordinate in [Coordinate::Time, Coordinate::Rho, Coordinate::LogRho] {
            let order = order as usize;
            let deis = Deis { order, coordinate, lower_order_final: false };
            add(order as u32, Box::new(deis), format!("deis {order} {coordinate:?}"));
        }
    }
    for order in 1..=3 {
        let statistics = NormalData { sigma_data: 0.7 };
        for corrector in [false, true] {
            let v3 = DpmSolverV3 { order, corrector, statistics };
            let name = format!("dpm-solver-v3 {order}, corrector {corrector}");
            add(order as u32 + u32::from(corrector), Box::new(v3), name);
        }
        // Of order 1 what these statistics get wrong happens to cancel at these steps.
        if order > 1 {
            let v3 = DpmSolverV3 { order, corrector: false, statistics: Waves };
            add(order as u32, Box::new(v3), format!("dpm-solver-v3 {order} of waves"));
        }
    }
    let corrected = UniC {
        predictor: DpmPp2M::default(),
        order: 2,
        b: BFunction::B2,
        lower_order_final: false,
    };
    add(3, Box::new(corrected), "unic 2 on dpmpp-2m".into());
    samplers
}

/// Halving the steps' length divides the error by `2^order`. Steps are as many as bring the error
/// between what the order's next term spoils and what rounding does.
#[test]
fn deterministic_samplers_have_their_order() {
    let exact = exact();
    let mut wrong = vec![];
    for (name, order, sampler) in deterministic() {
        for path in PATHS {
            let order = f64::from(order);
            let measured = match order {
                1.0 | 2.0 => measured(sampler.as_ref(), 256, |n| grid(n, path), &exact),
                3.0 => measured(sampler.as_ref(), 160, |n| ramped(n, path), &exact),
                4.0 => measured(sampler.as_ref(), 320, |n| ramped(n, path), &exact),
                _ => measured(sampler.as_ref(), 40, |n| ramped(n, path), &exact),
            };
            // Of order 5, the next term is the larger one until rounding hides both.
            let allowed = if order > 4.0 { 1.0 } else { 0.3 };
            if (measured - order).abs() > allowed || measured < order - 0.3 {
                wrong.push(format!("{name}: order {measured}, not {order}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Equal steps in `rho`.
fn equal(steps: usize) -> Grid {
    let sigma = |i: usize| 1.5 + (0.2 - 1.5) * i as f64 / steps as f64;
    Grid::from_sigmas(&(0..=steps).map(sigma).collect::<Vec<_>>()).unwrap()
}

/// The first step, Euler's, decides in the end: a multistep solver on a plain grid is of order 2.
/// (From much noise that shows late, since the estimates hardly change there.)
#[test]
fn multistep_solvers_that_begin_with_euler_are_of_order_2_on_a_plain_grid() {
    let exact = solve(&Rk4::default(), &equal(4096));
    for (info, sampler) in all() {
        if !["lms", "dpmpp-3m", "deis", "exponential-ab", "ipndm"].contains(&info.name) {
            continue;
        }
        let order = measured(sampler.as_ref(), 512, equal, &exact);
        assert!((order - 2.0).abs() < 0.3, "{}: order {order}", info.name);
    }
}

/// On equal steps in `rho` PNDM, whose formula is for these, has order 4 from its start on.
#[test]
fn pndm_has_order_4_on_equal_steps() {
    let exact = solve(&Rk4::default(), &equal(4096));
    let order = measured(&Pndm::default(), 64, equal, &exact);
    assert!((order - 4.0).abs() < 0.3, "order {order}");
}

/// From pure noise, 20,000 samples of every sampler have the mixture's weights, means and
/// variances; 5,000 of those that ask many times a level. Three standard errors of a weight are
/// 0.01, or 0.02; the solvers' own bias at 60 steps is allowed for. Consistency sampling wants
/// another denoiser: see `langevin.rs`.
#[test]
fn samples_have_the_right_distribution() {
    for (info, sampler) in all().into_iter().filter(|(info, _)| info.name != "consistency") {
        let mut levels: Vec<f64> =
            grid(60, NoiseLevel::ve).levels().iter().map(|l| l.sigma).collect();
        levels.push(0.0);
        let grid = Grid::from_sigmas(&levels).unwrap();
        let many = sampler.evaluations(&grid) > 300 && !sampler.is_adaptive();
        let x = unit_noise(if many { 5_000 } else { 20_000 }) * 20.0;
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
