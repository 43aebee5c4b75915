//! What a sampler costs beside its denoiser: fifty steps with a denoiser that returns a stored
//! tensor, against the same arithmetic written as fresh tensors and in place.
#![allow(missing_docs, clippy::expect_used)] // criterion makes public functions; a benchmark may die

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use tch::{Device, Kind, Tensor};
use tweedie::core::Result;
use tweedie::prelude::*;

const STEPS: usize = 50;

fn overhead(c: &mut Criterion) {
    tweedie::torch::runtime::init(&Default::default()).expect("first call of the process");
    let _guard = tch::no_grad_guard();
    let sigmas: Vec<f64> = (0..=STEPS).map(|i| 10.0 * 0.9f64.powi(i as i32)).collect();
    let grid = Grid::from_sigmas(&sigmas).expect("falling levels");
    // A toy set, a latent, a batch of latents, a batch of small pictures.
    for shape in [&[2000, 2][..], &[1, 4, 64, 64], &[16, 4, 64, 64], &[64, 3, 32, 32]] {
        let mut group = c.benchmark_group(format!("fifty steps {shape:?}"));
        group.throughput(Throughput::Elements(STEPS as u64));
        group.sample_size(20).measurement_time(Duration::from_secs(2));
        let mut noise = Noise::seeded(0);
        let start = noise.initial(shape, Kind::Float, Device::Cpu).expect("a shape");
        let stored = &start * 0.01;
        let denoiser = |_: &Tensor, _: NoiseLevel| -> Result<Tensor> { Ok(stored.shallow_clone()) };
        for info in SamplerSpec::all() {
            let sampler = SamplerSpec::by_name(info.name).expect("listed").build();
            group.bench_function(BenchmarkId::from_parameter(info.name), |b| {
                b.iter(|| {
                    let x = sampler.sample(&denoiser, start.copy(), &grid, Noise::seeded(0));
                    black_box(x.expect("finite"))
                });
            });
        }
        group.bench_function("y = y + h*out", |b| {
            b.iter(|| (0..STEPS).fold(start.shallow_clone(), |y, _| y + &stored * 0.02));
        });
        group.finish();
    }
}

criterion_group!(benches, overhead);
criterion_main!(benches);
