//! smalldiffusion 0.5.

use std::collections::BTreeMap;

use serde::Deserialize;
use tweedie_schedules::{Schedule, ScheduleSpec};

use crate::golden::{Some, close, part};

const FILE: &str = include_str!("../golden/smalldiffusion.json");

#[derive(Deserialize)]
struct Case {
    spec: ScheduleSpec,
    table: Some,
    grids: BTreeMap<usize, Vec<f64>>,
}

/// Every operation is torch's, in torch's precision, so most numbers are equal in every bit.
/// Where betas are, torch's vector square root (and NumPy's cosine, torch's sigmoid) is off by a
/// unit in the last place for one number in a few hundred: that is 1.2e-7 of single precision.
fn tolerance(spec: &ScheduleSpec) -> f64 {
    match spec {
        ScheduleSpec::LogLinear(_) | ScheduleSpec::Flow(_) | ScheduleSpec::LogNormalFlow(_) => 0.0,
        _ => 1.2e-7,
    }
}

#[test]
fn tables() {
    let cases: Vec<Case> = part(FILE, "schedules");
    assert_eq!(cases.len(), 16);
    for Case { spec, table, .. } in cases {
        let sigmas = spec.build().unwrap().sigmas();
        assert_eq!(sigmas.len(), table.len);
        let found: Vec<f64> = table.index.iter().map(|&i| sigmas[i]).collect();
        close(&found, &table.value, tolerance(&spec), &format!("{spec:?}"));
    }
}

#[test]
fn grids() {
    for Case { spec, grids, .. } in part::<Vec<Case>>(FILE, "schedules") {
        let schedule = spec.build().unwrap();
        for (steps, sigmas) in grids {
            let found = schedule.grid(steps).unwrap().sigmas();
            // The line of a flow is in double precision: its last place may differ.
            let what = format!("{spec:?} {steps}");
            close(&found, &sigmas, tolerance(&spec).max(4e-16), &what);
        }
    }
}

#[derive(Deserialize)]
struct Indices {
    n: usize,
    steps: usize,
    index: Vec<f64>,
}

/// Half to even, as NumPy rounds: the same places for every number of steps to 50.
#[test]
fn trailing_indices() {
    let cases: Vec<Indices> = part(FILE, "trailing_indices");
    assert!(cases.len() > 100);
    for Indices { n, steps, index } in cases {
        let sigmas: Vec<f64> = (1..=n).map(|i| i as f64).collect();
        let grid = Schedule::from_sigmas(&sigmas).unwrap().grid(steps).unwrap();
        let found: Vec<f64> = grid.sigmas().iter().map(|s| s - 1.0).collect();
        assert_eq!(found, index, "{n} {steps}");
    }
}
