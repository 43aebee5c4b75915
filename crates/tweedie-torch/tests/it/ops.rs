//! The kernels of networks against libtorch's own operations, forward and backward.

use tch::{Device, Kind, Tensor};
use tweedie_torch::autograd::vjp;
use tweedie_torch::ops::{self, Around};
use tweedie_torch::rng::Generator;
use tweedie_torch::tensor::to_f64;

fn normal(seed: u64, shape: &[i64]) -> Tensor {
    Generator::new(seed).unwrap().normal(shape, Kind::Double).unwrap()
}

/// The largest difference, in units of the largest number.
fn apart(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
    let largest = b.abs().max().double_value(&[]).max(1e-12);
    (a - b).abs().max().double_value(&[]) / largest
}

/// What single precision and bf16 are allowed to differ from double precision: some roundings of
/// 6e-8 and 4e-3 each, in sums of some thousand numbers.
const ALLOWED: [(Kind, f64); 2] = [(Kind::Float, 5e-6), (Kind::BFloat16, 2e-2)];

type Op<'a> = dyn Fn(&[Tensor]) -> Tensor + 'a;

/// Our operation on `inputs` in each kind (the first `narrow` of them in that kind, the others in
/// single precision) against libtorch's in double precision, with a random cotangent.
fn compare(ours: &Op<'_>, theirs: &Op<'_>, inputs: &[Tensor], narrow: usize) {
    for (kind, allowed) in ALLOWED {
        let as_given =
            |i: usize, t: &Tensor| t.to_kind(if i < narrow { kind } else { Kind::Float });
        let leaves = |exact: bool| -> Vec<Tensor> {
            let rounded = inputs.iter().enumerate().map(|(i, t)| as_given(i, t));
            rounded
                .map(|t| if exact { t.to_kind(Kind::Double) } else { t })
                .map(|t| t.detach().set_requires_grad(true))
                .collect()
        };
        let (mine, exact) = (leaves(false), leaves(true));
        let (y, expected) = (ours(&mine), theirs(&exact));
        assert_eq!(y.kind(), kind);
        assert!(apart(&y, &expected) < allowed, "{kind:?}: {}", apart(&y, &expected));
        let cotangent = normal(99, &y.size()).to_kind(kind);
        let grads = vjp(&y, &cotangent, &mine.iter().collect::<Vec<_>>()).unwrap();
        let cotangent = cotangent.to_kind(Kind::Double);
        let right = vjp(&expected, &cotangent, &exact.iter().collect::<Vec<_>>()).unwrap();
        for (i, (g, e)) in grads.iter().zip(&right).enumerate() {
            assert_eq!(g.kind(), mine[i].kind());
            assert!(apart(g, e) < allowed, "{kind:?}, gradient {i}: {}", apart(g, e));
        }
    }
}

fn pixelwise(t: &Tensor) -> Tensor {
    t.unsqueeze(-1).unsqueeze(-1)
}

/// Images of one and of several chunks of pixels, fewer and more of them than threads.
#[test]
fn group_norm_is_libtorchs() {
    for (batch, channels, side, groups) in [(1, 8, 3, 2), (3, 32, 20, 8), (5, 12, 17, 3)] {
        let x = normal(1, &[batch, channels, side, side]) * 1.5 + 0.3;
        let (weight, bias) = (normal(2, &[channels]) + 1.0, normal(3, &[channels]));
        let shift = normal(4, &[batch, channels]);
        for silu in [false, true] {
            let after = |t: Tensor| if silu { t.silu() } else { t };
            let theirs = |i: &[Tensor]| {
                after(i[0].group_norm(groups, Some(&i[1]), Some(&i[2]), 1e-6, false))
            };
            let ours = |i: &[Tensor]| {
                let around = Around { silu, ..Default::default() };
                ops::group_norm(&i[0], groups, &i[1], &i[2], 1e-6, around).unwrap()
            };
            let inputs = [x.copy(), weight.copy(), bias.copy()];
            compare(&ours, &theirs, &inputs, 1);
            let shifted = |i: &[Tensor]| {
                let x = &i[0] + pixelwise(&i[3]);
                after(x.group_norm(groups, Some(&i[1]), Some(&i[2]), 1e-6, false))
            };
            let ours = |i: &[Tensor]| {
                let around = Around { shift: Some(&i[3]), silu };
                ops::group_norm(&i[0], groups, &i[1], &i[2], 1e-6, around).unwrap()
            };
            compare(&ours, &shifted, &[x.copy(), weight.copy(), bias.copy(), shift.copy()], 1);
        }
        // A weight and a bias for each image.
        let per_image = |seed| normal(seed, &[batch, channels]);
        let theirs = |i: &[Tensor]| {
            let x = i[0].group_norm(groups, None::<&Tensor>, None::<&Tensor>, 1e-6, false);
            (x * pixelwise(&i[1]) + pixelwise(&i[2])).silu()
        };
        let ours = |i: &[Tensor]| {
            let around = Around { silu: true, ..Default::default() };
            ops::group_norm(&i[0], groups, &i[1], &i[2], 1e-6, around).unwrap()
        };
        compare(&ours, &theirs, &[x.copy(), per_image(5), per_image(6)], 1);
    }
}

#[test]
fn what_transformers_do_is_libtorchs() {
    for (batch, tokens, width) in [(1, 1, 4), (2, 70, 20), (3, 196, 48)] {
        let x = normal(1, &[batch, tokens, width]) * 2.0 - 0.5;
        let (a, b) = (normal(2, &[batch, 1, width]), normal(3, &[batch, 1, width]));
        let h = normal(4, &[batch, tokens, width]);
        compare(
            &|i| ops::modulated_norm(&i[0], &i[1], &i[2], 1e-6).unwrap(),
            &|i| {
                let normed =
                    i[0].layer_norm([width], None::<&Tensor>, None::<&Tensor>, 1e-6, false);
                normed * (&i[1] + 1.0) + &i[2]
            },
            &[x.copy(), a.copy(), b.copy()],
            3,
        );
        compare(
            &|i| ops::gated(&i[0], &i[1], &i[2]).unwrap(),
            &|i| &i[0] + &i[1] * &i[2],
            &[x.copy(), a.copy(), h.copy()],
            3,
        );
        compare(
            &|i| ops::gelu(i[0].shallow_clone()).unwrap(),
            &|i| i[0].gelu("tanh"),
            &[x.copy() * 3.0],
            1,
        );
    }
}

/// Where exponentials overflow and vanish, and where there is no number.
#[test]
fn gelu_is_right_at_the_edges() {
    let x = Tensor::from_slice(&[-1e4_f32, -100.0, -12.0, -0.0, 1e-30, 12.0, 100.0, 1e30]);
    let expected = to_f64(&x.to_kind(Kind::Double).gelu("tanh")).unwrap();
    let found = to_f64(&ops::gelu(x).unwrap()).unwrap();
    for (a, b) in found.iter().zip(&expected) {
        assert!((a - b).abs() <= 1e-6 * b.abs().max(1e-6), "{found:?} for {expected:?}");
    }
    let nan = ops::gelu(Tensor::from_slice(&[f32::NAN])).unwrap();
    assert!(to_f64(&nan).unwrap()[0].is_nan());
}

#[test]
fn memory_is_reused_only_where_nobody_else_holds_it() {
    let x = Tensor::ones([4], (Kind::Float, Device::Cpu));
    let held = x.shallow_clone();
    let y = ops::gelu(x).unwrap();
    assert_eq!(to_f64(&held).unwrap(), [1.0; 4]);
    let place = y.data_ptr();
    let z = ops::gelu(y).unwrap();
    assert_eq!(z.data_ptr(), place);
}

/// The bits don't depend on how work is shared out.
#[test]
fn a_sample_is_the_same_in_any_batch() {
    let x = normal(7, &[6, 32, 19, 19]).to_kind(Kind::Float);
    let (weight, bias) =
        (normal(2, &[32]).to_kind(Kind::Float), normal(3, &[32]).to_kind(Kind::Float));
    let norm = |x: &Tensor| {
        let around = Around { silu: true, ..Default::default() };
        ops::group_norm(x, 32, &weight, &bias, 1e-6, around).unwrap()
    };
    let all = norm(&x);
    for n in 0..6 {
        assert_eq!(norm(&x.narrow(0, n, 1)), all.narrow(0, n, 1));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let t = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    let norm = |x: &[i64], groups, w: &[i64]| {
        ops::group_norm(&t(x), groups, &t(w), &t(w), 1e-6, Around::default())
    };
    assert!(norm(&[2, 8, 4, 4], 4, &[8]).is_ok());
    for (x, groups, w) in [
        (&[2, 8, 4][..], 4, &[8][..]),
        (&[2, 8, 4, 4], 3, &[8]),
        (&[2, 8, 4, 4], 0, &[8]),
        (&[2, 8, 4, 4], 4, &[7]),
        (&[2, 8, 4, 4], 4, &[3, 8]),
    ] {
        assert!(norm(x, groups, w).is_err(), "{x:?} {groups} {w:?}");
    }
    assert!(ops::modulated_norm(&t(&[2, 3, 4]), &t(&[2, 1, 4]), &t(&[2, 3, 4]), 1e-6).is_err());
    assert!(ops::gated(&t(&[2, 3, 4]), &t(&[2, 1, 4]), &t(&[2, 3, 5])).is_err());
}
