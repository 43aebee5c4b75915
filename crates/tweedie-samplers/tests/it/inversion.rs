//! The way up: DDIM inversion, EDICT, and what lies between two pictures.

use crate::{max_difference, mixture, rows, unit_noise};
use serde::Deserialize;
use tch::Tensor;
use tweedie_core::{DenoiserExt, Error, Grid, Noise, NoiseLevel, Result};
use tweedie_samplers::interpolation::{between_inversions, between_noised, slerp};
use tweedie_samplers::{Coupled, DdimInversion, Edict, Euler, EulerAncestral, Heun, Rk4, Sampler};

const PATHS: [fn(f64) -> NoiseLevel; 3] =
    [NoiseLevel::ve, NoiseLevel::vp, |r: f64| NoiseLevel::flow(r / (1.0 + r))];

/// Ratios from 5 to 0.2, and to no noise where asked.
fn grid(steps: usize, path: fn(f64) -> NoiseLevel, clean: bool) -> Grid {
    let falling = (0..=steps).map(|i| path(5.0 * 0.04f64.powf(i as f64 / steps as f64)));
    Grid::from_levels(falling.chain(clean.then(|| path(0.0))).collect()).unwrap()
}

#[derive(Deserialize)]
struct Golden {
    levels: Vec<(f64, f64)>,
    x: Vec<Vec<f64>>,
    trajectory: Vec<Vec<Vec<f64>>>,
}

/// diffusers' states, each the end of a grid that begins there; on every path. Both sides compute
/// in double precision and differ by some roundings.
#[test]
fn inversion_agrees_with_diffusers() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/inversion.json")).unwrap();
    for (i, expected) in golden.trajectory.iter().enumerate() {
        let (alpha, _) = golden.levels[i + 1];
        for path in PATHS {
            let levels =
                golden.levels[..i + 2].iter().rev().map(|(alpha, sigma)| path(sigma / alpha));
            let grid = Grid::from_levels(levels.collect()).unwrap();
            let x = rows(&golden.x) * grid.end().alpha;
            let x = DdimInversion::default().invert(&mixture(), x, &grid).unwrap();
            let off = max_difference(&(x / grid.start().alpha * alpha), &rows(expected));
            assert!(off < 1e-12, "step {i}: off by {off:e}");
        }
    }
}

/// Against the ODE's own way back, by ever more steps: order 1, one call a step.
#[test]
fn inversion_is_of_order_1() {
    let fine = grid(2048, NoiseLevel::vp, false);
    let latent = unit_noise(16);
    let x = Rk4::default().sample(&mixture(), latent.copy(), &fine, Noise::replay([])).unwrap();
    let error = |steps: usize| {
        let counted = mixture().counted();
        let grid = grid(steps, NoiseLevel::vp, false);
        let up = DdimInversion::default().invert(&counted, x.copy(), &grid).unwrap();
        assert_eq!(counted.calls(), steps);
        max_difference(&up, &latent)
    };
    let order = (error(256) / error(512)).log2();
    assert!((order - 1.0).abs() < 0.2, "order {order}");
}

/// With iterations it is the inverse of Euler's steps themselves.
#[test]
fn iterations_undo_euler_exactly() {
    let grid = grid(40, NoiseLevel::vp, false);
    let x = unit_noise(16);
    let down = Euler.sample(&mixture(), x.copy(), &grid, Noise::replay([])).unwrap();
    let off = |iterations| {
        let up = DdimInversion { iterations }.invert(&mixture(), down.copy(), &grid).unwrap();
        max_difference(&up, &x)
    };
    assert!(off(1) > 1e-3 && off(40) < 1e-9, "{:e}, {:e}", off(1), off(40));
}

/// Up and down again is the data to rounding, in few steps too and from no noise. A mixing step
/// undone makes roundings larger by about 1/(2p − 1), 1.16: over 20 steps by twenty.
#[test]
fn edict_comes_back_exactly() {
    let x = unit_noise(16);
    for path in PATHS {
        for (steps, bound) in [(1, 1e-13), (5, 1e-13), (20, 1e-11)] {
            for clean in [false, true] {
                let (grid, edict, counted) =
                    (grid(steps, path, clean), Edict::default(), mixture().counted());
                let up = edict.invert(&counted, x.copy(), &grid).unwrap();
                assert!(max_difference(&up.x, &x) > 0.1);
                let Coupled { x: back, y } = edict.decode(&counted, up, &grid).unwrap();
                let off = max_difference(&back, &x).max(max_difference(&y, &x));
                assert!(off < bound, "{steps} steps: off by {off:e}");
                assert_eq!(counted.calls(), 4 * grid.steps());
            }
        }
    }
}

/// Down from a latent it solves the ODE, at order 1 as DDIM.
#[test]
fn edict_is_of_order_1() {
    let fine = grid(2048, NoiseLevel::vp, false);
    let exact =
        Rk4::default().sample(&mixture(), unit_noise(16), &fine, Noise::replay([])).unwrap();
    let error = |steps: usize| {
        let start = Coupled { x: unit_noise(16), y: unit_noise(16) };
        let grid = grid(steps, NoiseLevel::vp, false);
        max_difference(&Edict::default().decode(&mixture(), start, &grid).unwrap().x, &exact)
    };
    let order = (error(256) / error(512)).log2();
    assert!((order - 1.0).abs() < 0.2, "order {order}");
}

#[test]
fn what_cannot_be_inverted_is_refused() {
    let x = || unit_noise(2);
    let pure = Grid::from_levels(vec![NoiseLevel::flow(1.0), NoiseLevel::flow(0.2)]).unwrap();
    let error = Edict::default().invert(&mixture(), x(), &pure).unwrap_err().to_string();
    assert!(error.contains("EDICT has no answer at alpha 0"), "{error}");
    assert!(DdimInversion::default().invert(&mixture(), x(), &pure).is_ok());
    let grid = grid(4, NoiseLevel::ve, true);
    assert!(Edict { p: 0.0 }.invert(&mixture(), x(), &grid).is_err());
    assert!(DdimInversion { iterations: 0 }.invert(&mixture(), x(), &grid).is_err());
    let broken = |x: &Tensor, l: NoiseLevel| -> Result<Tensor> {
        Ok(if l.sigma > 1.5 { x.full_like(f64::NAN) } else { x * 0.5 })
    };
    for error in [
        DdimInversion::default().invert(&broken, x(), &grid).unwrap_err(),
        Edict::default().invert(&broken, x(), &grid).map(|c| c.x).unwrap_err(),
    ] {
        // Of the ratios 0, 0.2, 0.45, 1 and 2.2 the last is asked for in the fourth step.
        let Error::NonFinite { step, level, .. } = error else { panic!("{error}") };
        assert_eq!(step, 3, "{level:?}");
    }
    let narrow = |x: &Tensor, _: NoiseLevel| -> Result<Tensor> { Ok(x.narrow(1, 0, 1)) };
    let error = DdimInversion::default().invert(&narrow, x(), &grid).unwrap_err().to_string();
    assert!(error.contains("the denoiser's answer"), "{error}");
    let odd = Coupled { x: x(), y: unit_noise(3) };
    assert!(Edict::default().decode(&mixture(), odd, &grid).is_err());
}

#[test]
fn great_circles_keep_length_and_ends() {
    let (a, b) = (unit_noise(5), unit_noise(10).narrow(0, 5, 5));
    let (a, b) = (&a / a.norm_scalaropt_dim(2, [1], true), &b / b.norm_scalaropt_dim(2, [1], true));
    assert!(max_difference(&slerp(&a, &b, 0.0).unwrap(), &a) < 1e-15);
    assert!(max_difference(&slerp(&a, &b, 1.0).unwrap(), &b) < 1e-15);
    let third = slerp(&a, &b, 1.0 / 3.0).unwrap();
    let angle =
        |a: &Tensor, b: &Tensor| (a * b).sum_dim_intlist(1, false, tch::Kind::Double).acos();
    assert!(max_difference(&(angle(&a, &third) * 3.0), &angle(&a, &b)) < 1e-7);
    assert!(max_difference(&slerp(&a, &a, 0.3).unwrap(), &a) < 1e-15, "the same way is straight");
    assert!(slerp(&a, &b.narrow(0, 0, 2), 0.5).is_err());
}

/// Both ways begin and end at their pictures; in between every sample is where data are.
#[test]
fn between_two_pictures_is_data() {
    let data = tweedie_core::closed_form::GaussianMixture::ring(6, 1.0, 0.1).unwrap();
    let [a, b] = [[0.95, 0.05], [-0.5, 0.9]].map(|p| Tensor::from_slice(&p).reshape([1, 2]));
    let shares = [0.0, 0.2, 0.5, 0.8, 1.0];
    let fine = grid(200, NoiseLevel::vp, true);
    let way = between_inversions(&Heun::default(), &data, [&a, &b], &shares, &fine).unwrap();
    assert!(max_difference(&way[0], &a) < 0.05 && max_difference(&way[4], &b) < 0.05);
    let noised = |path: fn(f64) -> NoiseLevel| {
        let levels = (0..=20).map(|i| path(1.0 - f64::from(i) / 20.0)).collect();
        let grid = Grid::from_levels(levels).unwrap();
        let sampler = EulerAncestral::default();
        between_noised(&sampler, &data, [&a, &b], &shares, &grid, || Noise::seeded(4)).unwrap()
    };
    // Half-way their mean, at radius 0.5, is no data; these are, within three deviations.
    for x in way.iter().chain(&noised(NoiseLevel::ve)) {
        let radius = x.norm().double_value(&[]);
        assert!((radius - 1.0).abs() < 0.3, "{radius}");
    }
    // A share of 0 is SDEdit from the first picture.
    let grid = Grid::from_sigmas(&[1.0, 0.5, 0.0]).unwrap();
    let one = between_noised(&Euler, &data, [&a, &b], &[0.0], &grid, || Noise::seeded(4)).unwrap();
    let mut noise = Noise::seeded(4);
    let z = noise.initial(&[1, 2], tch::Kind::Double, tch::Device::Cpu).unwrap();
    let alone = Euler.sample(&data, &a + z, &grid, noise).unwrap();
    assert!(max_difference(&one[0], &alone) < 1e-15);
    let stochastic = EulerAncestral::default();
    let error = between_inversions(&stochastic, &data, [&a, &b], &shares, &fine).unwrap_err();
    assert!(matches!(error, Error::NoiseExhausted(0)), "{error}");
}
