//! Properties of levels, schedules, grids and distributions.

use proptest::prelude::*;
use tweedie_schedules::training::{LogNormal, LogitNormal, Mode, UniformIndex};
use tweedie_schedules::{
    Exponential, Grid, GridSpec, Karras, LevelSampler, NoiseLevel, PolyExponential, Scale,
    Schedule, ScheduleSpec, UniformLambda,
};

const SCALES: [Scale; 3] = [Scale::Ve, Scale::Vp, Scale::Flow];

fn falls(grid: &Grid) -> bool {
    grid.pairs().all(|(from, to)| from.lambda() < to.lambda())
}

proptest! {
    #[test]
    fn scales_keep_lambda(lambda in -30.0..30.0_f64) {
        let level = NoiseLevel::ve((-lambda).exp());
        for scale in SCALES {
            let there = scale.of(level);
            prop_assert!((there.lambda() - lambda).abs() < 1e-12);
            for back in SCALES {
                let again = back.of(there).to_ve();
                prop_assert!((again.sigma / level.sigma - 1.0).abs() < 1e-14);
            }
        }
        let (vp, flow) = (level.to_vp(), level.to_flow());
        prop_assert!((vp.alpha.hypot(vp.sigma) - 1.0).abs() < 1e-15);
        prop_assert!((flow.alpha + flow.sigma - 1.0).abs() < 1e-15);
    }

    #[test]
    fn grids_end_where_they_say(
        steps in 1..300_usize,
        sigma_min in 1e-4..0.5_f64,
        sigma_max in 1.0..200.0_f64,
        rho in 0.5..10.0_f64,
    ) {
        for grid in [
            Karras { sigma_min, sigma_max, rho }.grid(steps)?,
            Exponential { sigma_min, sigma_max }.grid(steps)?,
            PolyExponential { sigma_min, sigma_max, rho: rho.min(3.0) }.grid(steps)?,
        ] {
            prop_assert_eq!(grid.steps(), steps);
            prop_assert!(falls(&grid) && grid.end().is_clean());
            prop_assert_eq!(grid.start().sigma, sigma_max);
            if steps > 1 {
                prop_assert_eq!(grid[steps - 1].sigma, sigma_min);
            }
        }
    }

    #[test]
    fn lambda_steps_are_equal(steps in 1..200_usize, low in -6.0..0.0_f64, width in 0.1..12.0_f64) {
        let grid = UniformLambda { lambda_min: low, lambda_max: low + width }.grid(steps)?;
        prop_assert!((grid.start().lambda() - low).abs() < 1e-14);
        prop_assert!((grid.end().lambda() - low - width).abs() < 1e-13);
        for (from, to) in grid.pairs() {
            prop_assert!((to.lambda() - from.lambda() - width / steps as f64).abs() < 1e-13);
        }
    }

    #[test]
    fn timestep_and_level_are_inverse(t in 0.0..999.0_f64) {
        let schedule = Schedule::ldm(1000, 0.00085, 0.012)?;
        for scale in SCALES {
            let schedule = schedule.on(scale)?;
            prop_assert!((schedule.timestep(schedule.level_at(t)) - t).abs() < 1e-9);
        }
    }

    #[test]
    fn distributions_rise(a in 1e-9..1.0_f64, b in 1e-9..1.0_f64) {
        let schedule = Schedule::log_linear(100, 0.01, 10.0)?;
        let (low, high) = (a.min(b), a.max(b));
        let all: [Box<dyn LevelSampler>; 7] = [
            Box::new(UniformIndex(&schedule)),
            Box::new(Schedule::log_normal_flow(10, 0.001, 1.0)?),
            Box::new(LogNormal::default()),
            Box::new(LogitNormal::default()),
            Box::new(Mode::new(-1.0)?),
            Box::new(Mode::new(1.75)?),
            Box::new(schedule.clone()),
        ];
        for levels in all {
            prop_assert!(levels.level(low).ratio() <= levels.level(high).ratio());
        }
    }
}

/// Every rule over every schedule, 1 to 50 steps: a grid of that many steps, or a clear refusal.
#[test]
fn every_grid_over_every_schedule() {
    for schedule in ScheduleSpec::all() {
        let table = schedule.build().unwrap();
        for spec in GridSpec::all() {
            for steps in 1..=50 {
                // Pure noise has no sigma that a line of lambdas could start at.
                let flow = table.scale() == Scale::Flow;
                let refused = match spec {
                    GridSpec::UniformLambda { .. } => flow,
                    _ => false,
                };
                let grid = spec.grid(&table, steps);
                assert_eq!(grid.is_err(), refused, "{schedule:?} {spec:?} {steps} {grid:?}");
                if let Ok(grid) = grid {
                    assert_eq!(grid.steps(), steps, "{schedule:?} {spec:?}");
                    assert!(falls(&grid));
                }
            }
        }
    }
}

#[test]
fn tables_rise_and_end_where_they_say() {
    for spec in ScheduleSpec::all() {
        let schedule = spec.build().unwrap();
        assert_eq!(schedule.len(), 1000);
        let grid = schedule.every_level().unwrap();
        assert_eq!(
            (grid.steps(), grid.start(), grid.end()),
            (999, schedule.most(), schedule.least())
        );
    }
    let schedule = Schedule::log_linear(77, 0.03, 21.0).unwrap();
    // Single precision.
    assert!((schedule.least().sigma - 0.03).abs() < 1e-8);
    assert!((schedule.most().sigma - 21.0).abs() < 4e-6);
}

#[test]
fn two_thirds_of_a_table_are_steps() {
    let schedule = Schedule::ddpm(1000, 0.0001, 0.02).unwrap();
    assert_eq!(schedule.grid(666).unwrap().steps(), 666);
    let error = schedule.grid(667).unwrap_err().to_string();
    assert!(error.contains("at most 666"), "{error}");
    assert!(schedule.grid(1000).is_err());
}
