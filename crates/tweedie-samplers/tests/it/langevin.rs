//! Langevin dynamics and consistency sampling on normal data, where all is known.

use tch::{Device, Kind, Tensor};
use tweedie_core::{Grid, Noise, NoiseLevel, Result, closed_form::Gaussian};
use tweedie_samplers::{AnnealedLangevin, Consistency, Sampler, UnderdampedLangevin};

const MEAN: f64 = 0.3;
const VARIANCE: f64 = 0.49;

fn data() -> Gaussian {
    let scalar = |v: f64| Tensor::from_slice(&[v]);
    Gaussian::new(scalar(MEAN), scalar(VARIANCE)).unwrap()
}

fn flow(ratio: f64) -> NoiseLevel {
    NoiseLevel::flow(ratio / (1.0 + ratio))
}

/// From `x/alpha` at the first ratio to that at the last; noise is replayed.
fn end(
    sampler: &dyn Sampler,
    path: fn(f64) -> NoiseLevel,
    ratios: &[f64],
    x: f64,
    noise: &[f64],
) -> f64 {
    let one = |v: f64| Tensor::from_slice(&[v]).reshape([1, 1]);
    let grid = Grid::from_levels(ratios.iter().map(|&r| path(r)).collect()).unwrap();
    let noise = Noise::replay(noise.iter().map(|&z| one(z)));
    let x = sampler.sample(&data(), one(x * grid.start().alpha), &grid, noise).unwrap();
    x.double_value(&[0, 0]) / grid.end().alpha
}

/// Algorithm 1 of NCSN written out for normal data, with its own symbols.
#[test]
fn annealed_langevin_is_algorithm_1() {
    let (epsilon, steps) = (3e-3, 3);
    let sigmas = [2.0, 0.7, 0.2, 0.1];
    let noise: Vec<f64> = (0..9).map(|i| f64::from(i * i % 7) / 3.0 - 1.0).collect();
    let mut z = noise.iter();
    let mut x = 1.7;
    for sigma in &sigmas[1..] {
        let a = epsilon * sigma * sigma / (0.1 * 0.1);
        for _ in 0..steps {
            let score = -(x - MEAN) / (VARIANCE + sigma * sigma);
            x += a / 2.0 * score + f64::sqrt(a) * z.next().unwrap();
        }
    }
    let sampler = AnnealedLangevin { step_size: epsilon / (0.1 * 0.1), steps };
    for path in [NoiseLevel::ve, NoiseLevel::vp, flow] {
        let ours = end(&sampler, path, &sigmas, 1.7, &noise);
        assert!((ours - x).abs() < 1e-13, "{ours}, not {x}"); // a few roundings
    }
    // A grid that ends clean has the estimate of Tweedie's formula after it.
    let clean = end(&sampler, NoiseLevel::vp, &[2.0, 0.7, 0.2, 0.1, 0.0], 1.7, &noise);
    let x0 = x - 0.1 * 0.1 * (x - MEAN) / (VARIANCE + 0.1 * 0.1);
    assert!((clean - x0).abs() < 1e-13);
}

/// The variance at the end of a linear chain, from its response to each input.
fn end_variance(sampler: &dyn Sampler, ratios: &[f64], draws: usize) -> f64 {
    let at = |hot: Option<usize>| {
        let noise: Vec<f64> = (0..draws).map(|i| f64::from(u8::from(Some(i) == hot))).collect();
        end(sampler, NoiseLevel::vp, ratios, 0.0, &noise)
    };
    let still = at(None);
    (0..draws).map(|i| (at(Some(i)) - still).powi(2)).sum()
}

/// A long chain at one level forgets its start and has the variance that the step size leaves: for
/// Langevin's that of an AR(1) process, at first order; for BAOAB's the right one whatever the step.
#[test]
fn chains_settle_at_their_stationary_variance() {
    let (sigma, steps) = (0.5, 120);
    let ratios = [sigma * 1.001, sigma];
    let right = VARIANCE + sigma * sigma;
    for step_size in [0.2, 0.4] {
        let variance = end_variance(&AnnealedLangevin { step_size, steps }, &ratios, steps);
        // x' = (1 − q)·x + √a·z, q = a/(2·right), a = step_size·sigma²
        let a = step_size * sigma * sigma;
        let exact = right / (1.0 - a / right / 4.0);
        assert!((variance / exact - 1.0).abs() < 1e-3, "{variance}, not {exact}");
    }
    for (step_size, friction) in [(0.6, 1.0), (1.2, 0.5), (0.6, 4.0)] {
        let sampler = UnderdampedLangevin { step_size, friction, steps };
        let variance = end_variance(&sampler, &ratios, steps + 1);
        assert!((variance / right - 1.0).abs() < 1e-3, "h {step_size}: {variance}, not {right}");
    }
}

/// In equal numbers of evaluations a velocity carries a narrow start much further.
#[test]
fn momentum_mixes_faster() {
    let ratios = [0.1001, 0.1];
    let right = VARIANCE + 0.01;
    let steps = 100;
    let over = end_variance(&AnnealedLangevin { step_size: 0.2, steps }, &ratios, steps);
    let sampler = UnderdampedLangevin { step_size: 0.6, friction: 0.2, steps };
    let under = end_variance(&sampler, &ratios, steps + 1);
    assert!(over < 0.5 * right && under > 0.9 * right, "{over} and {under} of {right}");
}

/// With the exact consistency function of normal data any number of steps has the right variance,
/// but for the noise that is still there.
#[test]
fn consistency_sampling_is_exact_with_the_exact_function() {
    let function = |x: &Tensor, l: NoiseLevel| -> Result<Tensor> {
        let there = (l.alpha.powi(2) * VARIANCE + l.sigma.powi(2)).sqrt();
        Ok((x - MEAN * l.alpha) * (VARIANCE.sqrt() / there) + MEAN)
    };
    let sampler = Consistency { sigma_min: 0.0, s_noise: 1.0 };
    for ratios in [&[80.0, 0.0][..], &[80.0, 3.0, 0.4, 0.0], &[80.0, 3.0, 0.4]] {
        let grid = Grid::from_levels(ratios.iter().map(|&r| NoiseLevel::vp(r)).collect()).unwrap();
        let mut noise = Noise::seeded(4);
        let x = noise.initial(&[40_000, 1], Kind::Double, Device::Cpu).unwrap();
        let x = x * (grid.start().sigma.powi(2) + grid.start().alpha.powi(2) * VARIANCE).sqrt();
        let x = sampler.sample(&function, x + MEAN * grid.start().alpha, &grid, noise).unwrap();
        let variance = (x / grid.end().alpha).var(true).double_value(&[]);
        let right = VARIANCE + grid.end().ratio().powi(2);
        // A standard error is 0.7 %.
        assert!((variance / right - 1.0).abs() < 0.025, "{ratios:?}: {variance}, not {right}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let refused = |sampler: &dyn Sampler| sampler.solver().err().unwrap().to_string();
    let annealed = AnnealedLangevin::default();
    let under = UnderdampedLangevin::default();
    let cases: [(&dyn Sampler, &str); 6] = [
        (&AnnealedLangevin { step_size: 4.0, ..annealed }, "step_size is 4"),
        (&AnnealedLangevin { steps: 0, ..annealed }, "steps is 0"),
        (&UnderdampedLangevin { step_size: f64::NAN, ..under }, "step_size is NaN"),
        (&UnderdampedLangevin { friction: 0.0, ..under }, "friction is 0"),
        (&Consistency { sigma_min: -1.0, s_noise: 1.0 }, "sigma_min is -1"),
        (&tweedie_samplers::Ddpm { v: 1.5 }, "v is 1.5"),
    ];
    for (sampler, expected) in cases {
        assert!(refused(sampler).contains(expected), "{}", refused(sampler));
    }
}
