//! What bites in tch, walled off here. Where a test shows tch's own behaviour, its failing means
//! that tch has mended it and the wall may go.

use tch::{Device, Kind, Tensor};
use tweedie_torch::tensor::{from_bytes, from_f32, to_bytes, to_f32};
use tweedie_torch::weights::{StateDict, load_into};
use tweedie_torch::{Error, autograd, fused, optim, tensor};

fn t(values: &[f32]) -> Tensor {
    from_f32(values, &[values.len() as i64]).unwrap()
}

/// tch 0.26 maps `half::bf16` to `Kind::Half`: the bits of 1.5 come out as 1.9375.
#[test]
fn bf16_goes_by_bytes_not_by_tchs_mapping() {
    let bits = half::bf16::from_f32(1.5).to_bits().to_le_bytes();
    let ours = from_bytes(&bits, &[1], Kind::BFloat16).unwrap();
    assert_eq!((to_f32(&ours).unwrap(), to_bytes(&ours).unwrap()), (vec![1.5], bits.to_vec()));
    let theirs = Tensor::from_slice(&[half::bf16::from_f32(1.5)]);
    assert_eq!(theirs.kind(), Kind::Half, "tch has mended its mapping");
    assert_eq!(to_f32(&theirs).unwrap(), [1.9375]);
}

/// `Tensor::from_data_size` would copy what lies behind the slice.
#[test]
fn no_slice_is_read_past_its_end() {
    for shape in [&[2][..], &[-1], &[i64::MAX, 4], &[1 << 62], &[0]] {
        assert!(from_bytes(&[1, 2, 3, 4], shape, Kind::Float).is_err(), "{shape:?}");
    }
    assert!(from_bytes(&[1, 2, 3], &[1], Kind::Float).is_err());
}

/// `run_backward` dies of an output without a graph.
#[test]
fn a_gradient_that_is_not_there_is_an_error() {
    let x = t(&[1.0]).set_requires_grad(true);
    for output in [t(&[1.0]), x.detach(), Tensor::new()] {
        assert!(matches!(
            autograd::grad(&output, &[&x]),
            Err(Error::Gradient(_) | Error::Shape { .. })
        ));
    }
    let y = x.square();
    assert!(autograd::grad(&y, &[&Tensor::new()]).is_err());
    autograd::grad(&y, &[&x]).unwrap();
    let again = autograd::grad(&y, &[&x]).unwrap_err().to_string();
    assert!(again.contains("second time"), "{again}");
}

/// `VarStore::load` fills a `[4, 3]` parameter from a `[1]` tensor, and takes its kind.
#[test]
fn loading_neither_spreads_nor_changes_the_kind() {
    let p = Tensor::zeros([4, 3], (Kind::Float, Device::Cpu));
    let small = StateDict::from([("p".to_owned(), t(&[7.0]))]);
    assert!(load_into([("p", &p)], &small).is_err());
    let half = StateDict::from([("p".to_owned(), (p.ones_like() * 7.0).to_kind(Kind::Half))]);
    load_into([("p", &p)], &half).unwrap();
    assert_eq!((p.kind(), to_f32(&p).unwrap()), (Kind::Float, vec![7.0; 12]));
}

/// Undefined tensors make tch panic, or worse.
#[test]
fn undefined_tensors_are_errors() {
    let none = Tensor::new();
    assert!(tensor::to_f32(&none).is_err());
    assert!(tensor::to_bytes(&none).is_err());
    assert!(tensor::all_finite(&none).is_err());
    assert!(!tensor::is_unique(&none));
    assert!(fused::combine(&mut Tensor::new(), 1.0, &[]).is_err());
    let mut out = Some(Tensor::new());
    fused::combine_into(&mut out, &[(1.0, &t(&[2.0]))]).unwrap();
    assert_eq!(to_f32(&out.unwrap()).unwrap(), [2.0]);
    assert!(optim::norm(&[&none]).is_err());
    assert!(optim::scale(&[&none], 2.0).is_err());
    assert!(optim::ema_update(&[&t(&[1.0])], &[&none], 0.5).is_err());
    assert!(optim::AdamW::new([&none], Default::default()).is_err());
}

/// Grad mode is as it was, whatever fails in between.
#[test]
fn no_failure_leaves_the_grad_mode_changed() {
    let x = t(&[1.0]).set_requires_grad(true);
    let mut y = t(&[1.0]);
    assert!(fused::combine(&mut y, 1.0, &[(1.0, &t(&[1.0, 2.0]))]).is_err());
    assert!(optim::ema_update(&[&y], &[&t(&[1.0, 2.0])], 0.5).is_err());
    assert!(load_into([("y", &y)], &StateDict::new()).is_err());
    assert!((&x * 2.0).requires_grad());
}

/// A panic within the closure of `tch::no_grad` leaves autograd off; a guard gives it back.
#[test]
fn a_panic_leaves_the_grad_mode_only_to_a_guard() {
    let records_after = |dies: fn()| {
        let run = move || {
            assert!(std::panic::catch_unwind(dies).is_err());
            (t(&[1.0]).set_requires_grad(true) * 2.0).requires_grad()
        };
        std::thread::spawn(run).join().unwrap()
    };
    assert!(records_after(|| {
        let _guard = tch::no_grad_guard();
        std::panic::resume_unwind(Box::new(()));
    }));
    #[expect(clippy::disallowed_methods, reason = "this is what they are forbidden for")]
    let closure = records_after(|| tch::no_grad(|| std::panic::resume_unwind(Box::new(()))));
    assert!(!closure, "tch has mended its closure");
}

/// Messages of libtorch are thousands of characters of stack trace.
#[test]
fn messages_say_one_thing() {
    let error = optim::ema_update(&[&t(&[1.0])], &[&t(&[1.0, 2.0])], 0.5).unwrap_err().to_string();
    assert_eq!(error, "libtorch: an average has shape [1], its parameter [2]");
    let failed = t(&[1.0]).f_reshape([3]).map_err(Error::from).unwrap_err().to_string();
    assert!(failed.len() < 120 && !failed.contains('\n'), "{failed}");
    let absent = t(&[1.0]).f_to_device(Device::Cuda(17)).map_err(Error::from);
    if let Err(error) = absent {
        let error = error.to_string();
        assert!(error.lines().count() == 1 && error.len() < 300, "{error}");
    }
}

/// Memory that does not exist is an error, not the end of the process.
#[test]
fn too_large_a_tensor_is_an_error() {
    let mut g = tweedie_torch::rng::Generator::new(0).unwrap();
    for shape in [&[1_i64 << 50][..], &[i64::MAX], &[1 << 31, 1 << 31]] {
        let error = g.normal(shape, Kind::Float).unwrap_err();
        assert!(matches!(error, Error::Memory(_) | Error::Invalid { .. }), "{error}");
    }
}
