//! Samples a second at equal quality: every sampler takes the fewest steps with which its samples lie
//! as near to the data as those of the model's exact solution do, and a tenth more.
//!
//! The models are small and trained here, in some seconds: points in the plane, and digits.
#![allow(missing_docs, clippy::expect_used)] // criterion makes public functions; a benchmark may die
#![allow(clippy::print_stderr)] // who reads the figures wants to know the steps behind them

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use tch::{Device, Kind, Tensor};
use tweedie::eval::sliced::sliced_wasserstein;
use tweedie::prelude::*;
use tweedie::samplers::{Frame, Rk4};

/// Tried in turn.
const STEPS: [usize; 14] = [3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 64, 100];
/// What the exact solution's distance is multiplied by.
const ALLOWED: f64 = 1.1;
const PROJECTIONS: usize = 128;

struct Subject {
    trainer: Trainer,
    /// `[n, dim]`
    data: Tensor,
    sigmas: (f64, f64),
}

impl Subject {
    fn new(set: Dataset, hidden_dims: Vec<i64>, sigmas: (f64, f64), training: u64) -> Self {
        let data = set.all().x;
        let dim = data.size()[1];
        let spec = ModelSpec::TimeInputMlp(TimeInputMlpConfig { dim, hidden_dims });
        let network = spec.build(0, Kind::Float, Device::Cpu).expect("valid");
        let (sigma_min, sigma_max) = sigmas;
        let schedule = Schedule::log_linear(1000, sigma_min, sigma_max).expect("valid");
        let parametrization =
            Parametrization { scaling: Scaling::Scaled, ..Parametrization::default() };
        let weighting = Weighting::Uniform;
        let objective = Objective { parametrization, weighting, levels: Box::new(schedule) };
        let loader = Loader::new(set, LoaderConfig::new(256, 0)).expect("valid");
        let config = Config { report_grad_norm: false, ..Config::new(training, 2e-3) };
        let mut trainer = Trainer::new(network, objective, loader, config).expect("valid");
        for step in trainer.by_ref() {
            step.expect("finite");
        }
        Subject { trainer, data, sigmas }
    }

    /// As many samples as there are data.
    fn samples(&self, sampler: &dyn Sampler, steps: usize) -> tweedie::core::Result<Tensor> {
        let (sigma_min, sigma_max) = self.sigmas;
        let grid = Karras { sigma_min, sigma_max, rho: 7.0 }.grid(steps)?;
        let mut noise = Noise::seeded(1);
        let x = noise.initial(&self.data.size(), Kind::Float, Device::Cpu)?;
        sampler.sample(self.trainer.model(), x * grid.start().sigma, &grid, noise)
    }

    /// Infinite where a sampler breaks.
    fn distance(&self, sampler: &dyn Sampler, steps: usize) -> f64 {
        let samples = self.samples(sampler, steps);
        let distance = |x| sliced_wasserstein(&x, &self.data, PROJECTIONS, 0);
        samples.ok().and_then(|x| distance(x).ok()).unwrap_or(f64::INFINITY)
    }
}

fn at_equal_quality(c: &mut Criterion, name: &str, subject: &Subject) {
    let _guard = tch::no_grad_guard();
    let target = ALLOWED * subject.distance(&Rk4 { frame: Frame::Flow }, 200);
    let mut group = c.benchmark_group(format!("samples at equal quality, {name}"));
    group.throughput(Throughput::Elements(subject.data.size()[0] as u64));
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    for info in SamplerSpec::all() {
        let sampler = SamplerSpec::by_name(info.name).expect("listed").build();
        let enough = |steps: &&usize| subject.distance(&sampler, **steps) <= target;
        let Some(&steps) = STEPS.iter().find(enough) else {
            eprintln!("{name}, {}: not within {target:.3} of the data in 100 steps", info.name);
            continue;
        };
        eprintln!("{name}, {}: {steps} steps", info.name);
        // The number of steps is no part of the name: figures of two versions are compared by it.
        group.bench_function(BenchmarkId::from_parameter(info.name), |b| {
            b.iter(|| black_box(subject.samples(&sampler, steps).expect("finite")));
        });
    }
    group.finish();
}

fn quality(c: &mut Criterion) {
    tweedie::torch::runtime::init(&Default::default()).expect("first call of the process");
    let points = toy::by_name("swissroll", 2000, 0).expect("a name").dataset().expect("points");
    let points = Subject::new(points, vec![128; 4], (0.005, 10.0), 4000);
    at_equal_quality(c, "points", &points);
    let digits = digits::train().expect("within the crate").reshaped(&[64]).expect("8 × 8");
    let digits = Dataset::new(digits.samples().shallow_clone(), None).expect("no labels");
    let digits = Subject::new(digits, vec![256; 3], (0.01, 20.0), 4000);
    at_equal_quality(c, "digits", &digits);
}

criterion_group!(benches, quality);
criterion_main!(benches);
