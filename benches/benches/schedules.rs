//! Tables and grids: pure arithmetic, no libtorch.
#![allow(missing_docs, clippy::expect_used)] // criterion makes public functions; a benchmark may die

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use tweedie::schedules::{GridSpec, ScheduleSpec};

fn tables(c: &mut Criterion) {
    let mut group = c.benchmark_group("schedules, 1000 levels");
    group.measurement_time(Duration::from_secs(2));
    for spec in ScheduleSpec::all() {
        group.bench_function(BenchmarkId::from_parameter(spec.name()), |b| {
            b.iter(|| black_box(&spec).build().expect("its defaults"));
        });
    }
    group.finish();
}

fn grids(c: &mut Criterion) {
    let schedule = ScheduleSpec::by_name("ldm").expect("listed").build().expect("its defaults");
    let mut group = c.benchmark_group("grids, 50 steps");
    group.measurement_time(Duration::from_secs(2));
    for spec in GridSpec::all() {
        group.bench_function(BenchmarkId::from_parameter(spec.name()), |b| {
            b.iter(|| black_box(&spec).grid(&schedule, black_box(50)).expect("its defaults"));
        });
    }
    group.finish();
}

criterion_group!(benches, tables, grids);
criterion_main!(benches);
