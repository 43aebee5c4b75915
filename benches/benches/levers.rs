//! What each thing that makes training fast gives, one at a time, on smalldiffusion's image networks.
#![allow(missing_docs, clippy::expect_used)] // criterion makes public functions; a benchmark may die

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use tch::{Device, Kind, Reduction, Tensor, kind::FLOAT_CPU, nn, nn::OptimizerConfig};
use tweedie::models::{dit::DitConfig, unet::UnetConfig};
use tweedie::prelude::*;
use tweedie::torch::autograd::grad;
use tweedie::torch::optim::{AdamW, AdamWConfig, ema_update};
use tweedie::torch::runtime::{self, Runtime};

fn dit() -> Box<dyn Trainable> {
    ModelSpec::Dit(DitConfig::fashion_mnist()).build(0, Kind::Float, Device::Cpu).expect("valid")
}

fn unet() -> Box<dyn Trainable> {
    ModelSpec::Unet(UnetConfig::fashion_mnist()).build(0, Kind::Float, Device::Cpu).expect("valid")
}

/// Forward and back through the U-Net, before and after freed memory is kept. It comes first: once
/// kept, memory stays so.
fn memory(c: &mut Criterion) {
    let (network, batch) = (unet(), 32);
    let x = Tensor::randn([batch, 1, 28, 28], FLOAT_CPU);
    let sigma = Tensor::full([batch], 5.0, FLOAT_CPU);
    let mut group = slow(c, "memory between operations, U-Net forward and back, batch 32");
    for (name, keep_memory) in [("given back", false), ("kept", true)] {
        runtime::init(&Runtime { keep_memory, ..Default::default() }).expect("valid");
        group.bench_function(name, |b| {
            b.iter(|| {
                network
                    .forward(&x, &sigma, None)
                    .expect("shapes fit")
                    .square()
                    .mean(None)
                    .backward();
                network.parameters().clear_grads().expect("gradients");
            });
        });
    }
    group.finish();
}

/// One call for all parameters of the DiT, against libtorch's optimiser and a loop.
fn updates(c: &mut Criterion) {
    let network = dit();
    let mut mine: Vec<Tensor> = network.parameters().copies().expect("memory");
    let grads: Vec<Tensor> = mine.iter().map(Tensor::randn_like).collect();

    let mut group = slow(c, "AdamW, DiT's parameters");
    let mut adamw = AdamW::new(&mine, AdamWConfig::default()).expect("valid");
    let (params, grads_of): (Vec<_>, Vec<_>) = (mine.iter().collect(), grads.iter().collect());
    group.bench_function("one call", |b| {
        b.iter(|| adamw.step(&params, &grads_of, 1e-3).expect("shapes fit"));
    });
    let vs = nn::VarStore::new(Device::Cpu);
    for (i, grad) in grads.iter().enumerate() {
        let mut var = vs.root().zeros(&format!("p{i}"), &grad.size());
        (&var * grad).sum(Kind::Float).backward();
        var.data().copy_(&mine[i]);
        let _ = var.requires_grad_(true);
    }
    let mut theirs = nn::AdamW::default().build(&vs, 1e-3).expect("valid");
    group.bench_function("libtorch's", |b| b.iter(|| theirs.step()));
    group.finish();

    let mut group = slow(c, "average of the weights, DiT's parameters");
    let mut shadow: Vec<Tensor> = mine.iter().map(Tensor::copy).collect();
    group.bench_function("one call", |b| {
        let shadow: Vec<&Tensor> = shadow.iter().collect();
        b.iter(|| ema_update(&shadow, &params, 0.999).expect("shapes fit"));
    });
    group.bench_function("tensor by tensor", |b| {
        b.iter(|| {
            for (average, p) in shadow.iter_mut().zip(&mine) {
                let _ = average.lerp_(p, 0.001);
            }
        });
    });
    group.finish();
    mine.clear();
}

/// A convolution of the U-Net's, forward and back, by where channels lie in memory.
fn layout(c: &mut Criterion) {
    let last = |t: &Tensor| t.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
    let first = |t: &Tensor| t.contiguous();
    let x = Tensor::randn([32, 64, 28, 28], FLOAT_CPU);
    let weight = Tensor::randn([64, 64, 3, 3], FLOAT_CPU) * 0.04;
    let mut group = slow(c, "convolution 64 to 64 over 28 x 28, batch 32, forward and back");
    for (name, lay) in [("channels first", first as fn(&Tensor) -> Tensor), ("channels last", last)]
    {
        let x = lay(&x).set_requires_grad(true);
        let weight = lay(&weight).set_requires_grad(true);
        group.bench_function(name, |b| {
            b.iter(|| {
                let y = x.conv2d(&weight, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1);
                grad(&y.square().mean(Kind::Float), &[&x, &weight]).expect("a graph")
            });
        });
    }
    group.finish();
}

/// Attention of the DiT's shapes: libtorch's kernel, which keeps no matrix of weights, and the formula.
fn attention(c: &mut Criterion) {
    let draw = || Tensor::randn([64, 6, 196, 32], FLOAT_CPU).set_requires_grad(true);
    let (q, k, v) = (draw(), draw(), draw());
    let kernel = || {
        Tensor::scaled_dot_product_attention(&q, &k, &v, None::<Tensor>, 0.0, false, None, false)
    };
    let formula = || (q.matmul(&k.transpose(-2, -1)) / 32f64.sqrt()).softmax(-1, None).matmul(&v);
    let target = Tensor::randn([64, 6, 196, 32], FLOAT_CPU);
    let mut group = slow(c, "attention of 196 tokens, 6 heads of 32, batch 64, forward and back");
    let ways: [(&str, &dyn Fn() -> Tensor); 2] = [("formula", &formula), ("kernel", &kernel)];
    for (name, attend) in ways {
        group.bench_function(name, |b| {
            b.iter(|| {
                let loss = attend().mse_loss(&target, Reduction::Mean);
                black_box(grad(&loss, &[&q, &k, &v]).expect("a graph"))
            });
        });
    }
    group.finish();
}

fn slow<'a>(
    c: &'a mut Criterion,
    name: &str,
) -> criterion::BenchmarkGroup<'a, criterion::measurement::WallTime> {
    let mut group = c.benchmark_group(name);
    group.sample_size(15).measurement_time(Duration::from_secs(8));
    group
}

criterion_group!(benches, memory, updates, layout, attention);
criterion_main!(benches);
