//! Seeded noise against PyTorch's own.
#![allow(missing_docs, clippy::expect_used)] // criterion makes public functions; a benchmark may die

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tch::{Device, Kind, Tensor};
use tweedie::prelude::*;

fn normals(c: &mut Criterion) {
    tweedie::torch::runtime::init(&Default::default()).expect("first call of the process");
    for shape in [[1, 16_384], [16, 16_384], [64, 16_384]] {
        let mut group = c.benchmark_group(format!("normal {shape:?}"));
        group.throughput(Throughput::Elements(shape.iter().product::<i64>() as u64));
        let mut buffer = None;
        let like = Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let mut noise = Noise::seeded(0);
        let mut step = 0;
        group.bench_function("seeded", |b| {
            b.iter(|| {
                step += 1;
                noise.step(step, &like, &mut buffer).map(|_| ()).expect("a shape");
            });
        });
        group.bench_function("torch.randn", |b| b.iter(|| like.randn_like()));
        group.finish();
    }
}

criterion_group!(benches, normals);
criterion_main!(benches);
