//! diffusers.

use std::collections::BTreeMap;

use serde::Deserialize;
use tweedie_schedules::grid::{Ays, Convention, End, FlowShift, Leading, Linspace, Trailing};
use tweedie_schedules::{GridSpec, Schedule, ScheduleSpec};

use crate::golden::{Some, close, part};

const FILE: &str = include_str!("../golden/diffusers.json");

/// A few units in the last place of single precision, which diffusers computes in.
const SINGLE: f64 = 1e-6;

fn ldm() -> Schedule {
    Schedule::ldm(1000, 0.00085, 0.012).unwrap()
}

#[derive(Deserialize)]
struct Table {
    r#type: String,
    alpha: Some,
    zero_snr_alpha: Some,
}

#[test]
fn tables_and_zero_terminal_snr() {
    for Table { r#type, alpha, zero_snr_alpha } in part::<Vec<Table>>(FILE, "diffusers_tables") {
        let schedule = ScheduleSpec::by_name(&r#type).unwrap().build().unwrap();
        let found: Vec<f64> =
            alpha.index.iter().map(|&i| schedule.levels()[i].to_vp().alpha).collect();
        close(&found, &alpha.value, SINGLE, &r#type);

        let zero = schedule.with_terminal_alpha(0.0).unwrap();
        let found: Vec<f64> =
            zero_snr_alpha.index.iter().map(|&i| zero.levels()[i].alpha).collect();
        for (a, b) in found.iter().zip(&zero_snr_alpha.value) {
            // diffusers goes back to betas and multiplies up again, in single precision:
            // a thousand roundings of a number up to 1.
            assert!((a - b).abs() < 3e-5, "{type}: {a}, expected {b}", r#type = r#type);
        }
        assert_eq!(zero.most().alpha, 0.0);
    }
}

#[derive(Deserialize)]
struct Spacing {
    spacing: String,
    convention: Convention,
    offset: usize,
    steps: usize,
    timesteps: Vec<f64>,
    sigmas: Option<Vec<f64>>,
}

#[test]
fn spacings() {
    let schedule = ldm();
    let cases: Vec<Spacing> = part(FILE, "diffusers_spacings");
    assert_eq!(cases.len(), 72);
    for Spacing { spacing, convention, offset, steps, timesteps, sigmas } in cases {
        let end = End::Clean;
        let grid = match spacing.as_str() {
            "trailing" => Trailing { end }.grid(&schedule, steps),
            "leading" => Leading { offset, convention, end }.grid(&schedule, steps),
            _ => Linspace { convention, end }.grid(&schedule, steps),
        }
        .unwrap();
        let what = format!("{spacing} {convention:?} {steps}");
        if let Option::Some(sigmas) = sigmas {
            // Half a unit in the last place of 1 − alpha_bar, over twice that: sigma² is 8.5e-4
            // at its least.
            close(&grid.sigmas(), &sigmas, 4e-5, &what);
        }
        // Fractional timesteps only where sigma is interpolated, for which linear and
        // logarithmic interpolation differ.
        let whole = timesteps.iter().all(|t| t.fract() == 0.0);
        let found: Vec<f64> = grid[..steps].iter().map(|&l| schedule.timestep(l)).collect();
        for (a, b) in found.iter().zip(&timesteps) {
            assert!((a - b).abs() <= if whole { 0.0 } else { 0.05 }, "{what}: {a}, expected {b}");
        }
    }
}

#[derive(Deserialize)]
struct Sigmas {
    spec: GridSpec,
    steps: usize,
    range: [f64; 2],
    sigmas: Vec<f64>,
}

#[test]
fn karras_exponential_and_beta() {
    for Sigmas { mut spec, steps, range, sigmas } in part::<Vec<Sigmas>>(FILE, "diffusers_sigmas") {
        let [min, max] = range;
        let schedule = if let GridSpec::Beta { .. } = spec {
            Schedule::from_sigmas(&[min, max]).unwrap()
        } else {
            spec.set("sigma-min", &min.to_string()).unwrap();
            spec.set("sigma-max", &max.to_string()).unwrap();
            ldm()
        };
        let found = spec.grid(&schedule, steps).unwrap().sigmas();
        close(&found, &sigmas, SINGLE, &format!("{spec:?} {steps}"));
    }
}

#[derive(Deserialize)]
struct FlowMatch {
    shift: f64,
    steps: usize,
    ends: [f64; 2],
    sigmas: Vec<f64>,
}

#[test]
fn flow_match_euler() {
    for FlowMatch { shift, steps, ends, sigmas } in part::<Vec<FlowMatch>>(FILE, "flow_match") {
        let [t_min, t_max] = ends;
        let found = FlowShift { shift, t_min, t_max }.grid(steps).unwrap().sigmas();
        close(&found, &sigmas, SINGLE, &format!("shift {shift} {steps}"));
        // The table is shifted once and the grid again.
        let table = Schedule::flow(1000, 0.001, 1.0).unwrap().shifted(shift).unwrap();
        close(&[table.least().sigma, table.most().sigma], &ends, SINGLE, "ends");
        let spec = GridSpec::FlowShift { shift, t_min: None, t_max: None };
        close(&spec.grid(&table, steps).unwrap().sigmas(), &sigmas, SINGLE, "spec");
    }
}

/// diffusers ends the tables at 0 where the authors have their last sigma.
#[test]
fn align_your_steps() {
    let tables: BTreeMap<String, Vec<f64>> = part(FILE, "ays");
    for (name, ays) in [("sd1", Ays::Sd1), ("sdxl", Ays::Sdxl), ("svd", Ays::Svd)] {
        close(&ays.grid(10).unwrap().sigmas(), &tables[name], 1e-12, name);
    }
}
