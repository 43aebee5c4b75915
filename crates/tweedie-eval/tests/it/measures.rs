//! Distances by scipy and numpy.

use crate::support::features;
use serde::Deserialize;
use tweedie_eval::manifold::{NEIGHBOURS, precision_recall};
use tweedie_eval::{KernelConfig, Moments, frechet_distance, kernel::mmd, kernel_distance};

#[derive(Deserialize)]
struct Case {
    n: i64,
    m: i64,
    d: i64,
    scale: f64,
    shift: f64,
    frechet: f64,
    kernel: f64,
    kernel_std: f64,
    mmd: f64,
    precision: f64,
    recall: f64,
}

fn close(what: &str, ours: f64, theirs: f64, tolerance: f64) {
    assert!((ours - theirs).abs() <= tolerance, "{what}: {ours} for {theirs}");
}

#[test]
fn agree_with_the_references() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../golden/metrics.json")).unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let Case { n, m, d, .. } = case;
        let x = features(d as u32, n, d, case.scale, case.shift);
        let y = features(d as u32 + 1, m, d, 1.0, 0.0);
        // Products in double precision may be summed in another order before the rounding to
        // single: a bit of 24 in a few of the features.
        let tolerance = |value: f64| 1e-6 * value.abs().max(1.0);
        let frechet = frechet_distance(&Moments::of(&x).unwrap(), &Moments::of(&y).unwrap());
        close("frechet", frechet.unwrap(), case.frechet, tolerance(case.frechet));
        let config = KernelConfig { subsets: 5, subset_size: 30, seed: 7 };
        let kernel = kernel_distance(&x, &y, &config).unwrap();
        close("kernel", kernel.mean, case.kernel, tolerance(case.kernel));
        close("spread", kernel.std, case.kernel_std, tolerance(case.kernel_std));
        close("mmd", mmd(&x, &y).unwrap(), case.mmd, 1e-7);
        let manifold = precision_recall(&x, &y, NEIGHBOURS).unwrap();
        close("precision", manifold.precision, case.precision, 0.0);
        close("recall", manifold.recall, case.recall, 0.0);
    }
}
