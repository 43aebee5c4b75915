//! Brownian noise through its door.

use crate::max_difference;
use tch::{Device, Kind, Tensor};
use tweedie_core::noise::{Draw, Noise, clock};
use tweedie_core::{Grid, NoiseLevel};

fn increment(noise: Noise, shape: &[i64], from: NoiseLevel, to: NoiseLevel) -> Tensor {
    let (like, mut noise) = (Tensor::zeros(shape, (Kind::Float, Device::Cpu)), noise);
    let draw = Draw { step: 3, nth: 1, between: Some((from, to)) };
    let z = noise.at(draw, &like, &mut None).unwrap().shallow_clone();
    z * (clock(from) - clock(to)).abs().sqrt()
}

/// Numbers are of single precision, of size 1 and less: 2e-6 is some twenty roundings.
#[test]
fn increments_over_neighbours_sum_to_that_over_both() {
    let levels = [80.0, 14.6, 3.0, 2.9, 1.0, 0.3, 0.02, 0.0].map(NoiseLevel::vp);
    let over = |a, b| increment(Noise::brownian(5), &[3, 1000], a, b);
    let whole = over(levels[0], levels[7]);
    let sum = levels.windows(2).map(|w| over(w[0], w[1])).fold(whole.zeros_like(), |s, z| s + z);
    assert!(max_difference(&whole, &sum) < 2e-6);
    assert!(max_difference(&over(levels[1], levels[4]), &-over(levels[4], levels[1])) == 0.0);
}

/// Moments of 300,000 numbers: a standard error of the variance is 0.0026, of a correlation 0.0018.
#[test]
fn increments_are_normal_and_independent() {
    let grid = Grid::from_sigmas(&[50.0, 20.0, 8.0, 3.0, 1.2, 0.5, 0.2, 0.05, 0.0]).unwrap();
    let unit: Vec<Tensor> = grid
        .pairs()
        .map(|(a, b)| {
            let size = (clock(a) - clock(b)).sqrt();
            increment(Noise::brownian(9), &[3, 100_000], a, b) / size
        })
        .collect();
    let mean = |t: &Tensor| t.mean(Kind::Double).double_value(&[]);
    for (i, z) in unit.iter().enumerate() {
        assert!(mean(z).abs() < 0.008, "{i}: mean {}", mean(z));
        assert!((mean(&z.square()) - 1.0).abs() < 0.011, "{i}: variance {}", mean(&z.square()));
        let fourth = mean(&z.pow_tensor_scalar(4));
        assert!((fourth - 3.0).abs() < 0.08, "{i}: fourth moment {fourth}");
        for (j, other) in unit[..i].iter().enumerate() {
            assert!(mean(&(z * other)).abs() < 0.008, "{i} {j}: {}", mean(&(z * other)));
        }
    }
    // Samples of a batch, and the noise that a run starts from, are strangers to each other.
    let rows = unit[0].unbind(0);
    assert!(mean(&(&rows[0] * &rows[1])).abs() < 0.013);
    let start = Noise::brownian(9).initial(&[3, 100_000], Kind::Float, Device::Cpu).unwrap();
    assert!(mean(&(&start * &unit[0])).abs() < 0.008);
}

#[test]
fn a_sample_is_the_same_alone_in_a_batch_and_under_its_own_seed() {
    let (from, to) = (NoiseLevel::ve(3.0), NoiseLevel::ve(1.0));
    for each in [2, 63, 16_384] {
        let whole = increment(Noise::brownian(9), &[8, each], from, to);
        for k in 0..8 {
            let alone = increment(Noise::brownian(9).from_sample(k), &[1, each], from, to);
            assert!(alone.equal(&whole.narrow(0, k.into(), 1)));
        }
    }
    let seeds = increment(Noise::brownian_per_sample([4, 9]), &[2, 5], from, to);
    let nine = increment(Noise::brownian(9), &[1, 5], from, to);
    assert!(seeds.narrow(0, 1, 1).equal(&nine));
}

/// Without a place on the way, and of the draws of one step, it is as other noise.
#[test]
fn draws_without_a_way_are_those_of_seeded_noise() {
    let like = Tensor::zeros([2, 6], (Kind::Float, Device::Cpu));
    let at = |noise: Noise, nth| {
        let mut noise = noise;
        let draw = Draw { step: 2, nth, between: None };
        noise.at(draw, &like, &mut None).unwrap().shallow_clone()
    };
    assert!(at(Noise::brownian(3), 0).equal(&at(Noise::seeded(3), 0)));
    assert!(!at(Noise::seeded(3), 1).equal(&at(Noise::seeded(3), 0)));
    let mut first = Noise::seeded(3);
    assert!(at(Noise::seeded(3), 0).equal(first.step(2, &like, &mut None).unwrap()));
}
