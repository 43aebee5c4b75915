//! Noise of our own against PyTorch's.
#![allow(missing_docs, clippy::expect_used)] // criterion makes public functions; a benchmark may die

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;
use tch::{Device, Kind, Tensor};
use tweedie::core::noise::Draw;
use tweedie::prelude::*;

/// Draws of a run before it begins again.
const STEPS: usize = 50;

fn normals(c: &mut Criterion) {
    tweedie::torch::runtime::init(&Default::default()).expect("first call of the process");
    let grid = Karras::default().grid(STEPS).expect("valid");
    for shape in [[1, 16_384], [16, 16_384], [64, 16_384]] {
        let mut group = c.benchmark_group(format!("normal {shape:?}"));
        group.measurement_time(Duration::from_secs(2));
        group.throughput(Throughput::Elements(shape.iter().product::<i64>() as u64));
        let like = Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let torch = Noise::torch(0).expect("a generator");
        for (name, mut noise) in
            [("seeded", Noise::seeded(0)), ("brownian", Noise::brownian(0)), ("torch", torch)]
        {
            let mut buffer = None;
            let mut step = 0;
            // The way from one level to the next is what the Brownian source gives increments of.
            group.bench_function(name, |b| {
                b.iter(|| {
                    step = (step + 1) % STEPS;
                    let between = Some((grid.levels()[step], grid.levels()[step + 1]));
                    let draw = Draw { step, nth: 0, between };
                    noise.at(draw, &like, &mut buffer).map(|_| ()).expect("a shape");
                });
            });
        }
        group.bench_function("torch.randn", |b| b.iter(|| like.randn_like()));
        group.finish();
    }
}

criterion_group!(benches, normals);
criterion_main!(benches);
