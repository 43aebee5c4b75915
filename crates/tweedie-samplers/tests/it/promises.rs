//! What every sampler promises: calls, batches, buffers, errors.

use crate::{LANGEVIN_STEPS, all, mixture, unit_noise};
use tch::{Kind, Tensor};
use tweedie_core::{DenoiserExt, Error, Grid, Noise, NoiseLevel, Result};
use tweedie_samplers::{Accelerated, EdmStochastic, Sampler};
use tweedie_torch::{runtime, tensor};

fn grid(steps: usize, clean: bool) -> Grid {
    let n = steps + usize::from(!clean);
    let mut sigmas: Vec<f64> = (0..n).map(|i| 10.0 * 0.7f64.powi(i as i32)).collect();
    if clean {
        sigmas.push(0.0);
    }
    Grid::from_sigmas(&sigmas).unwrap()
}

/// What the documentation of each says, written out once more.
fn documented_calls(name: &str, evaluations: usize, steps: usize, clean: bool) -> usize {
    let last_is_short = usize::from(clean);
    match name {
        "midpoint" | "predictor-corrector" => 2 * steps,
        "annealed-langevin" | "underdamped-langevin" => {
            LANGEVIN_STEPS * (steps - last_is_short) + last_is_short
        }
        "plms" => steps + usize::from(steps > 1 || !clean),
        "pndm" => steps + 3 * (steps - last_is_short).min(3),
        _ => evaluations * steps - (evaluations - 1) * last_is_short,
    }
}

#[test]
fn calls_are_as_documented_for_1_to_50_steps() {
    let counted = mixture().counted();
    for (info, sampler) in all() {
        for steps in 1..=50 {
            for clean in [true, false] {
                let grid = grid(steps, clean);
                counted.reset();
                let x = unit_noise(2) * 10.0;
                let taken = sampler.steps(&counted, x, &grid, Noise::seeded(0)).unwrap();
                assert_eq!(taken.collect::<Result<Vec<_>>>().unwrap().len(), steps);
                let (calls, said) = (counted.calls(), sampler.evaluations(&grid));
                if sampler.is_adaptive() {
                    assert!(calls <= said, "{} {steps}: {calls} of {said}", info.name);
                    continue;
                }
                assert_eq!(calls, said, "{} {steps}", info.name);
                if info.name == "restart" {
                    continue; // repeats at one level: counted in its own test
                }
                let per_step = info.evaluations as usize;
                let expected = documented_calls(info.name, per_step, steps, clean);
                assert_eq!(calls, expected, "{} {steps}", info.name);
            }
        }
    }
}

/// Sample k is the same to the bit alone and in a batch, and with any number of threads, where the
/// denoiser is elementwise: its size is such that vectors and threads end in different places.
/// Adaptive samplers share their steps among a batch; see `adaptive.rs`.
#[test]
fn samples_do_not_depend_on_their_batch() {
    let shrink = |x: &Tensor, l: NoiseLevel| -> Result<Tensor> {
        Ok(x * (l.alpha / (l.alpha.powi(2) + l.sigma.powi(2))))
    };
    let shape = [3, 37, 41];
    for (info, sampler) in all().into_iter().filter(|(_, sampler)| !sampler.is_adaptive()) {
        let run = |first: u32, batch: i64, threads: i32| {
            // It is a setting of this thread alone, and each test has one of its own.
            tch::set_num_threads(threads);
            let mut noise = Noise::seeded(3).from_sample(first);
            let shape: Vec<i64> = [batch].into_iter().chain(shape).collect();
            let x = noise.initial(&shape, Kind::Float, tch::Device::Cpu).unwrap() * 10.0;
            sampler.sample(&shrink, x, &grid(7, false), noise).unwrap()
        };
        let whole = run(0, 17, 1);
        assert!(whole.equal(&run(0, 17, 3)), "{}: three threads", info.name);
        for k in [0, 5, 16] {
            let (alone, within) = (run(k, 1, 2), whole.narrow(0, k.into(), 1));
            let bits =
                |t: &Tensor| tensor::to_f32(t).unwrap().iter().map(|v| v.to_bits()).collect();
            let (alone, within): (Vec<u32>, Vec<u32>) = (bits(&alone), bits(&within));
            assert!(alone == within, "{}: sample {k}", info.name);
        }
    }
}

/// What was handed out stays as it was, though the run reuses its memory.
#[test]
fn held_steps_never_change() {
    for (info, sampler) in all() {
        let start = unit_noise(4) * 10.0;
        let before = start.copy();
        let grid = grid(6, true);
        let mut held = vec![];
        for step in
            sampler.steps(&mixture(), start.shallow_clone(), &grid, Noise::seeded(0)).unwrap()
        {
            let step = step.unwrap();
            held.push((step.x.copy(), step.x0.copy(), step));
        }
        for (x, x0, step) in &held {
            assert!(x.equal(&step.x) && x0.equal(&step.x0), "{} step {}", info.name, step.index);
        }
        assert!(start.equal(&before), "{} changed its caller's tensor", info.name);
    }
}

/// After the first steps: as many tensors of the state's size in 40 steps as in 20, with a denoiser
/// that makes none.
#[test]
fn nothing_of_the_states_size_is_allocated_within_the_loop() {
    for (info, sampler) in all().into_iter().filter(|(_, sampler)| !sampler.is_adaptive()) {
        let allocations = |steps: usize| {
            let start = unit_noise(512) * 10.0;
            let stored = &start * 0.01;
            let denoiser =
                |_: &Tensor, _: NoiseLevel| -> Result<Tensor> { Ok(stored.shallow_clone()) };
            let grid = grid(steps, false);
            let run = || sampler.sample(&denoiser, start, &grid, Noise::seeded(0)).map(drop);
            let (end, count) = runtime::count_allocations(512 * 2 * 8, run).unwrap();
            end.unwrap();
            count
        };
        let (short, long) = (allocations(20), allocations(40));
        assert!(short == long && long <= 9, "{}: {short}, then {long}", info.name);
    }
}

#[test]
fn iterating_and_sampling_agree() {
    for (_, sampler) in all() {
        let grid = grid(5, true);
        let x = || unit_noise(3) * 10.0;
        let last = sampler.steps(&mixture(), x(), &grid, Noise::seeded(1)).unwrap().last();
        let end = sampler.sample(&mixture(), x(), &grid, Noise::seeded(1)).unwrap();
        assert!(last.unwrap().unwrap().x.equal(&end));
    }
}

#[test]
fn a_denoiser_that_breaks_is_named_with_step_and_level() {
    for (info, sampler) in all() {
        let broken = |x: &Tensor, l: NoiseLevel| -> Result<Tensor> {
            Ok(if l.sigma < 6.0 { x.full_like(f64::NAN) } else { x * 0.5 })
        };
        let grid = grid(5, true);
        let mut steps =
            sampler.steps(&broken, unit_noise(2) * 10.0, &grid, Noise::seeded(0)).unwrap();
        let error = steps.find_map(Result::err).unwrap();
        let named = matches!(error, Error::NonFinite { level, .. } if level.sigma < 6.0);
        assert!(named, "{}: {error}", info.name);
        assert!(steps.next().is_none(), "after an error there are no more steps");

        let misshapen = |x: &Tensor, _: NoiseLevel| -> Result<Tensor> { Ok(x.narrow(1, 0, 1)) };
        let error = sampler.sample(&misshapen, unit_noise(2), &grid, Noise::seeded(0)).unwrap_err();
        assert!(error.to_string().contains("the denoiser's answer"), "{}: {error}", info.name);
    }
}

#[test]
fn settings_and_states_that_make_no_sense_are_refused() {
    let x = || unit_noise(2);
    let refused = |sampler: &dyn Sampler, x: Tensor| {
        sampler.sample(&mixture(), x, &grid(3, true), Noise::seeded(0)).unwrap_err().to_string()
    };
    assert!(refused(&Accelerated { gam: 1.0, mu: 1.0 }, x()).contains("mu is 1"));
    assert!(refused(&Accelerated { gam: f64::NAN, mu: 0.0 }, x()).contains("gam is NaN"));
    let churn = EdmStochastic { s_churn: -1.0, ..Default::default() };
    assert!(refused(&churn, x()).contains("s_churn is -1"));
    assert!(refused(&Accelerated::ddim(), x().to_kind(Kind::Half)).contains("kind of x"));
    assert!(refused(&Accelerated::ddim(), Tensor::from(1.0)).contains("x has shape []"));
}

/// From the very beginning of a flow, where alpha is 0.
#[test]
fn every_sampler_starts_from_pure_noise() {
    let levels = (0..=20).map(|i| NoiseLevel::flow(1.0 - f64::from(i) / 20.0)).collect();
    let grid = Grid::from_levels(levels).unwrap();
    for (info, sampler) in all() {
        let x = sampler.sample(&mixture(), unit_noise(500), &grid, Noise::seeded(0)).unwrap();
        let mean = x.mean_dim(0, false, Kind::Double).double_value(&[0]);
        assert!((mean - 0.26).abs() < 0.2, "{}: mean {mean}", info.name);
    }
}
