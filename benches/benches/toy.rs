//! smalldiffusion's first example: a step of training a small network on a Swiss roll, and 2,000
//! points from noise.
#![allow(missing_docs, clippy::expect_used)] // criterion makes public functions; a benchmark may die

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use tch::{Device, Kind};
use tweedie::prelude::*;

fn schedule() -> Schedule {
    Schedule::log_linear(200, 0.005, 10.0).expect("valid")
}

fn network() -> Box<dyn Trainable> {
    let hidden_dims = vec![16, 128, 128, 128, 128, 16];
    let spec = ModelSpec::TimeInputMlp(TimeInputMlpConfig { dim: 2, hidden_dims });
    spec.build(0, Kind::Float, Device::Cpu).expect("valid")
}

fn train(c: &mut Criterion) {
    tweedie::torch::runtime::init(&Default::default()).expect("first call of the process");
    let mut group = c.benchmark_group("toy train");
    for batch in [100, 2048] {
        let points =
            toy::by_name("swissroll", batch, 0).expect("a name").dataset().expect("points");
        let loader = Loader::new(points, LoaderConfig::new(batch, 0)).expect("valid");
        let objective = Objective {
            parametrization: Parametrization::default(),
            weighting: Weighting::Uniform,
            levels: Box::new(schedule()),
        };
        let config = Config { report_grad_norm: false, ..Config::new(u64::MAX, 1e-3) };
        let mut trainer = Trainer::new(network(), objective, loader, config).expect("valid");
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(BenchmarkId::new("step", batch), |b| {
            b.iter(|| black_box(trainer.next().expect("endless").expect("finite").loss));
        });
    }
    group.finish();
}

fn sample(c: &mut Criterion) {
    let model = Model::new(network(), Parametrization::default()).expect("valid");
    let grid = schedule().grid(20).expect("valid");
    let mut group = c.benchmark_group("toy sample");
    group.throughput(Throughput::Elements(2000));
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    for info in SamplerSpec::all() {
        let sampler = SamplerSpec::by_name(info.name).expect("listed").build();
        group.bench_function(BenchmarkId::new(info.name, 2000), |b| {
            b.iter(|| {
                let mut noise = Noise::seeded(0);
                let x = noise.initial(&[2000, 2], Kind::Float, Device::Cpu).expect("a shape");
                let x = x * grid.start().sigma;
                black_box(sampler.sample(&model, x, &grid, noise).expect("finite"))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, train, sample);
criterion_main!(benches);
