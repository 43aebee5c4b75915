//! Settings of the process and its threads.

use tch::{Device, Kind, Tensor};
use tweedie_torch::runtime::{Runtime, init};
use tweedie_torch::{fused, optim, tensor};

/// How many of many subnormal numbers an operation keeps: every thread of the pool has a share.
fn subnormals_kept() -> i64 {
    let tiny = Tensor::full([1 << 18], 1e-40, (Kind::Double, Device::Cpu)).to_kind(Kind::Float);
    (tiny * 0.5).count_nonzero(0).int64_value(&[])
}

/// On threads of its own: the flag belongs to a thread and to those that it makes.
#[test]
fn every_thread_takes_subnormals_for_zero() {
    let before = std::thread::spawn(subnormals_kept).join().unwrap();
    assert_eq!(before, 1 << 18, "subnormals are there to be flushed");
    let after = std::thread::spawn(|| {
        tch::set_num_threads(2);
        let _pool = subnormals_kept(); // its threads run before anything is set
        init(&Runtime { threads: Some(2), ..Default::default() }).unwrap();
        let here = subnormals_kept();
        (here, std::thread::spawn(subnormals_kept).join().unwrap())
    });
    assert_eq!(after.join().unwrap(), (0, 0));
}

/// The bits of what we compute do not depend on the number of threads.
#[test]
fn threads_change_no_bit() {
    let wave = |step: f64| Tensor::arange(300_001, (Kind::Double, Device::Cpu)) * step;
    let run = move |threads: i32| {
        std::thread::spawn(move || {
            tch::set_num_threads(threads);
            let y = wave(0.1).sin().to_kind(Kind::Float);
            let mut x = wave(0.37).sin().to_kind(Kind::Float);
            fused::combine(&mut x, 0.3, &[(1.7, &y), (-0.2, &y)]).unwrap();
            let norm = optim::norm(&[&x, &y]).unwrap();
            (tensor::to_bytes(&x).unwrap(), norm.to_bits())
        })
        .join()
        .unwrap()
    };
    let one = run(1);
    for threads in [2, 3, 7] {
        assert!(run(threads) == one, "{threads} threads");
    }
}
