//! Parallel sampling: the same end as step by step, in fewer rounds.

use crate::{max_difference, mixture, unit_noise};
use tch::Tensor;
use tweedie_core::{DenoiserExt, Error, Grid, Noise, NoiseLevel, Result};
use tweedie_samplers::{Euler, Paradigms, Sampler};

fn grid(steps: usize, path: fn(f64) -> NoiseLevel) -> Grid {
    let falling = (0..steps).map(|i| path(20.0 * 0.0025f64.powf(i as f64 / steps as f64)));
    Grid::from_levels(falling.chain([path(0.0)]).collect()).unwrap()
}

const PATHS: [fn(f64) -> NoiseLevel; 3] =
    [NoiseLevel::ve, NoiseLevel::vp, |r: f64| NoiseLevel::flow(r / (1.0 + r))];

/// The distance to Euler's end, and the rounds.
fn compare(sampler: Paradigms, steps: usize, path: fn(f64) -> NoiseLevel) -> (f64, usize) {
    let (grid, counted) = (grid(steps, path), mixture().counted());
    let start = || unit_noise(16) * grid.start().sigma;
    let end = sampler.sample(&counted, start(), &grid, Noise::replay([])).unwrap();
    let exact = Euler.sample(&mixture(), start(), &grid, Noise::replay([])).unwrap();
    (max_difference(&end, &exact), counted.calls())
}

/// With no tolerance the end is Euler's to rounding, in at most as many rounds; with one it is
/// within a hundred times that (each step may leave a change that goes unnoticed), in fewer.
#[test]
fn the_end_is_that_of_step_by_step() {
    for path in PATHS {
        let (off, exact_rounds) = compare(Paradigms { window: 100, tolerance: 0.0 }, 100, path);
        assert!(off < 1e-12 && exact_rounds <= 100, "off by {off:e} in {exact_rounds}");
        let mut last = exact_rounds;
        for (tolerance, most) in [(1e-6, 40), (1e-3, 25), (1e-2, 20)] {
            let (off, rounds) = compare(Paradigms { window: 100, tolerance }, 100, path);
            println!("tolerance {tolerance}: off by {off:e} in {rounds} rounds");
            assert!(off < 100.0 * tolerance, "tolerance {tolerance}: off by {off:e}");
            assert!(rounds <= last && rounds <= most, "tolerance {tolerance}: {rounds} rounds");
            last = rounds;
        }
    }
}

/// A window of one is Euler's method itself; of a few it slides, in fewer rounds than steps.
#[test]
fn windows_slide() {
    let (off, rounds) = compare(Paradigms { window: 1, tolerance: 1e-3 }, 50, NoiseLevel::vp);
    assert!(off < 1e-13 && rounds == 50, "off by {off:e} in {rounds}");
    let (off, rounds) = compare(Paradigms { window: 8, tolerance: 1e-3 }, 50, NoiseLevel::vp);
    assert!(off < 1e-2 && rounds < 25, "off by {off:e} in {rounds}");
}

/// A denoiser that always says the same is done in two rounds: one to hear it, one to confirm.
#[test]
fn an_estimate_that_stays_is_known_at_once() {
    let counted =
        (|x: &Tensor, _: NoiseLevel| -> Result<Tensor> { Ok(x.full_like(0.3)) }).counted();
    let grid = grid(30, NoiseLevel::vp);
    let sampler = Paradigms { window: 30, tolerance: 1e-12 };
    let end = sampler.sample(&counted, unit_noise(3), &grid, Noise::replay([])).unwrap();
    assert!(max_difference(&end, &end.full_like(0.3)) < 1e-14);
    assert_eq!(counted.calls(), 2);
}

/// What breaks ahead breaks nothing before it is reached, and then it is named.
#[test]
fn what_breaks_within_a_window_is_named_where_it_is() {
    let broken = |x: &Tensor, l: NoiseLevel| -> Result<Tensor> {
        Ok(if l.sigma < 1.0 { x.full_like(f64::NAN) } else { x * 0.5 })
    };
    let grid = Grid::from_sigmas(&[8.0, 4.0, 2.0, 0.9, 0.5, 0.0]).unwrap();
    let steps = Paradigms::default().steps(&broken, unit_noise(2), &grid, Noise::replay([]));
    let taken: Vec<_> = steps.unwrap().collect();
    let Some(Err(Error::NonFinite { step: 3, level, .. })) = taken.last() else {
        panic!("{taken:?}")
    };
    assert_eq!((taken.len(), level.sigma), (4, 0.9));
    for (sampler, expected) in [
        (Paradigms { window: 0, tolerance: 0.1 }, "window is 0"),
        (Paradigms { window: 4, tolerance: -1.0 }, "tolerance is -1"),
    ] {
        assert!(sampler.solver().err().unwrap().to_string().contains(expected));
    }
}
