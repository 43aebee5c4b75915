//! Solvers that choose their own steps.

use crate::{max_difference, mixture, unit_noise};
use tch::{Kind, Tensor};
use tweedie_core::{DenoiserExt, Error, Grid, Noise, NoiseLevel, Result};
use tweedie_samplers::{BogackiShampine, DormandPrince, Frame, Rk4, Sampler, Tolerance};
use tweedie_torch::runtime;

fn coarse() -> Grid {
    Grid::from_sigmas(&[20.0, 1.0, 0.05]).unwrap()
}

fn both(tolerance: Tolerance) -> [(&'static str, Box<dyn Sampler>); 2] {
    [
        ("bogacki-shampine", Box::new(BogackiShampine(tolerance))),
        ("dormand-prince", Box::new(DormandPrince(tolerance))),
    ]
}

fn within(tolerance: f64) -> Tolerance {
    Tolerance { rtol: tolerance, atol: tolerance, ..Default::default() }
}

/// The error at the end goes down with the tolerance, and costs more evaluations. The error of
/// each step is held below the tolerance; some hundred steps and the ODE's own growth of errors
/// (which shrink along it) allow thirty times that at the end.
#[test]
fn the_end_is_as_exact_as_was_asked() {
    let fine: Vec<f64> = (0..=4000).map(|i| 20.0 * 0.0025f64.powf(f64::from(i) / 4000.0)).collect();
    let fine = Grid::from_sigmas(&fine).unwrap();
    let start = || unit_noise(16) * 20.0;
    let exact = Rk4::default().sample(&mixture(), start(), &fine, Noise::replay([])).unwrap();
    let counted = mixture().counted();
    for frame in [Frame::Ve, Frame::Flow] {
        let mut before = [(f64::INFINITY, 0); 2];
        for tolerance in [1e-3, 1e-5, 1e-7] {
            let samplers = both(Tolerance { frame, ..within(tolerance) });
            for ((name, sampler), before) in samplers.iter().zip(&mut before) {
                counted.reset();
                let end = sampler.sample(&counted, start(), &coarse(), Noise::replay([])).unwrap();
                let (error, calls) = (max_difference(&end, &exact), counted.calls());
                assert!(error < 30.0 * tolerance, "{name} {frame:?} {tolerance}: {error:e}");
                assert!(error < before.0 / 5.0 && calls > before.1, "{name}: {error:e}, {calls}");
                assert!(calls <= sampler.evaluations(&coarse()));
                *before = (error, calls);
            }
        }
    }
}

/// Six evaluations an attempt and one at the start, three for the lower pair: none is asked twice.
#[test]
fn the_last_stage_is_the_next_first() {
    let counted = mixture().counted();
    for ((_, sampler), stages) in both(within(1e-4)).iter().zip([3, 6]) {
        counted.reset();
        let x = unit_noise(4) * 20.0;
        drop(sampler.sample(&counted, x, &coarse(), Noise::replay([])).unwrap());
        assert!(counted.calls() > 4 * stages && counted.calls() % stages == 1);
    }
}

/// However many attempts the tolerance takes (the denoiser jumps, without a tensor of its own):
/// nothing of the state's size is allocated for one.
#[test]
fn attempts_allocate_nothing_of_the_states_size() {
    for index in [0, 1] {
        let allocations = |tolerance: f64| {
            let (start, (_, sampler)) = (unit_noise(512) * 20.0, &both(within(tolerance))[index]);
            let (stored, calls) = ([0.01, 0.02].map(|f| &start * f), std::cell::Cell::new(0));
            let denoiser = |_: &Tensor, level: NoiseLevel| -> Result<Tensor> {
                calls.set(calls.get() + 1);
                Ok(stored[usize::from(level.sigma < 5.0)].shallow_clone())
            };
            let run = || sampler.sample(&denoiser, start, &coarse(), Noise::replay([])).map(drop);
            let (end, count) = runtime::count_allocations(512 * 2 * 8, run).unwrap();
            end.unwrap();
            (count, calls.get())
        };
        let (few, many) = (allocations(1e-2), allocations(1e-5));
        assert!(few.0 == many.0 && few.1 < many.1, "{few:?}, then {many:?}");
    }
}

/// A batch shares its steps: a sample is the same within the tolerance, alone and in a batch.
#[test]
fn samples_depend_on_their_batch_within_the_tolerance() {
    for (name, sampler) in both(within(1e-6)) {
        let x = unit_noise(16) * 20.0;
        let run = |x: Tensor| sampler.sample(&mixture(), x, &coarse(), Noise::replay([])).unwrap();
        let whole = run(x.copy());
        for k in [0, 7, 15] {
            let off = max_difference(&run(x.narrow(0, k, 1)), &whole.narrow(0, k, 1));
            assert!(off < 3e-5, "{name}: sample {k} off by {off:e}");
        }
    }
}

/// A denoiser that jumps at every call can be followed at no length.
#[test]
fn a_step_under_its_limit_is_an_error_that_names_it() {
    let calls = std::cell::Cell::new(0.0);
    let jumping = |x: &Tensor, _: NoiseLevel| -> Result<Tensor> {
        calls.set(calls.get() + 1.0);
        Ok(x.zeros_like() + f64::sin(calls.get() * 100.0) * 1e3)
    };
    let limits = [
        Tolerance { min_step: 0.01, ..within(1e-6) },
        Tolerance { max_attempts: 3, ..within(1e-6) },
    ];
    for tolerance in limits {
        for (name, sampler) in both(tolerance) {
            let x = unit_noise(2) * 20.0;
            let error = sampler.sample(&jumping, x, &coarse(), Noise::replay([])).unwrap_err();
            assert!(matches!(error, Error::StepSize { step: 0, .. }), "{name}: {error}");
            assert!(error.to_string().contains("sigma 20"), "{name}: {error}");
        }
    }
}

#[test]
fn tolerances_that_make_no_sense_are_refused() {
    let refused = |tolerance: Tolerance| {
        let x = unit_noise(1).to_kind(Kind::Double);
        let end = DormandPrince(tolerance).sample(&mixture(), x, &coarse(), Noise::replay([]));
        end.unwrap_err().to_string()
    };
    assert!(refused(within(0.0)).contains("rtol is 0"));
    assert!(refused(Tolerance { rtol: f64::NAN, ..within(1.0) }).contains("rtol is NaN"));
    assert!(refused(Tolerance { min_step: -1.0, ..within(1.0) }).contains("min_step is -1"));
    assert!(refused(Tolerance { max_attempts: 0, ..within(1.0) }).contains("max_attempts is 0"));
}
