//! Whether the loader keeps a model fed: 32 × 32 PNGs in batches of 64.
#![allow(missing_docs, clippy::expect_used)] // criterion makes public functions; a benchmark may die

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tweedie::data::augment::HorizontalFlip;
use tweedie::data::images::{ImageConfig, ImageFolder};
use tweedie::prelude::*;

const BATCH: usize = 64;
/// What a fast small model takes for a batch.
const MODEL: Duration = Duration::from_millis(5);

/// Images with structure and noise, so that they are as hard to decode as photographs.
fn folder(path: &Path, n: u32) {
    for i in 0..n {
        let image = image::RgbImage::from_fn(32, 32, |x, y| {
            let noise = (x * 73 + y * 151 + i * 977).wrapping_mul(2_654_435_761) >> 28;
            image::Rgb([x * 7 + noise, y * 7 + noise, (x + y) * 3 + noise].map(|v| v as u8))
        });
        image.save(path.join(format!("{i:05}.png"))).expect("room for a PNG");
    }
}

fn loader(path: &Path, prefetch: usize, flip: bool) -> Loader {
    let set = ImageFolder::open(path, ImageConfig::new(32, 32)).expect("a folder of images");
    let mut config = LoaderConfig { prefetch, drop_last: true, ..LoaderConfig::new(BATCH, 0) };
    if flip {
        config.maps.push(Arc::new(HorizontalFlip { p: 0.5 }));
    }
    Loader::new(set, config).expect("settings that go together")
}

fn next(loader: &mut Loader) -> tweedie::data::Batch {
    loader.next().expect("a loader never ends").expect("whole images")
}

fn loaders(c: &mut Criterion) {
    tweedie::torch::runtime::init(&Default::default()).expect("first call of the process");
    let path = tempfile::tempdir().expect("a folder");
    folder(path.path(), 4096);

    let mut group = c.benchmark_group("32 × 32 PNGs, 64 a batch");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, prefetch, flip) in
        [("on demand", 0, false), ("ahead", 4, false), ("ahead, flipped", 4, true)]
    {
        let mut loader = loader(path.path(), prefetch, flip);
        group.bench_function(name, |b| b.iter(|| next(&mut loader)));
    }
    // How long a model that computes for 5 ms on one core waits for its batch.
    for prefetch in [0, 4] {
        let mut loader = loader(path.path(), prefetch, true);
        group.bench_function(BenchmarkId::new("wait of a 5 ms model", prefetch), |b| {
            b.iter_custom(|n| {
                let mut waited = Duration::ZERO;
                for _ in 0..n {
                    let start = Instant::now();
                    next(&mut loader);
                    waited += start.elapsed();
                    let start = Instant::now();
                    while start.elapsed() < MODEL {
                        std::hint::spin_loop();
                    }
                }
                waited
            });
        });
    }
    group.finish();
}

criterion_group!(benches, loaders);
criterion_main!(benches);
