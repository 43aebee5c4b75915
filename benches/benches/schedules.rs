//! Tables and grids: pure arithmetic, no libtorch.
#![allow(missing_docs, clippy::expect_used)] // criterion makes public functions; a benchmark may die

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use tweedie::schedules::{Karras, Schedule};

fn tables(c: &mut Criterion) {
    let mut group = c.benchmark_group("schedules");
    group.bench_function("ddpm, 1000 levels", |b| {
        b.iter(|| Schedule::ddpm(black_box(1000), 1e-4, 0.02).expect("valid"));
    });
    let schedule = Schedule::ddpm(1000, 1e-4, 0.02).expect("valid");
    group.bench_function("trailing grid, 50 steps", |b| b.iter(|| schedule.grid(black_box(50))));
    let karras = Karras { sigma_min: 0.002, sigma_max: 80.0, rho: 7.0 };
    group.bench_function("karras grid, 50 steps", |b| b.iter(|| karras.grid(black_box(50))));
    group.finish();
}

criterion_group!(benches, tables);
criterion_main!(benches);
