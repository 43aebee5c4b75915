//! Arguments that nobody should give: each an error that says what is wrong, never a panic.

use proptest::prelude::*;
use tweedie_schedules::path::{SubVp, Ve, VpCosine, VpLinear, VpScaledLinear};
use tweedie_schedules::training::{LogNormal, LogitNormal, Mode};
use tweedie_schedules::{
    Ays, Beta, Exponential, FlowShift, Grid, GridSpec, Karras, Leading, LevelSampler, Linspace,
    NoiseLevel, Path, PolyExponential, Schedule, ScheduleSpec, Trailing, UniformLambda,
    UniformTime,
};

const NUMBERS: [f64; 12] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    -1.0,
    -0.0,
    0.0,
    5e-324,
    1e-300,
    1.0,
    1e9,
    1e300,
    f64::MAX,
];
const COUNTS: [usize; 5] = [0, 1, 2, 10_000_001, usize::MAX];

#[test]
fn messages_name_argument_value_and_expectation() {
    let table = [
        (Schedule::log_linear(0, 0.1, 1.0), "n is 0, expected a whole number from 2 to 10000000"),
        (
            Schedule::log_linear(usize::MAX, 0.1, 1.0),
            "n is 18446744073709551615, expected a whole number from 2 to 10000000",
        ),
        (Schedule::log_linear(9, 2.0, 1.0), "sigma_min is 2, expected less than sigma_max (1)"),
        (
            Schedule::log_linear(9, f64::NAN, 1.0),
            "sigma_min is NaN, expected a finite number above 0",
        ),
        (Schedule::log_linear(9, 1.0, f64::INFINITY), "sigma_max is inf, expected a finite number"),
        (Schedule::ddpm(9, 0.0, 0.1), "beta_start is 0, expected between 0 and 1"),
        (
            Schedule::ldm(9, 0.2, 0.1),
            "beta_end is 0.1, expected from beta_start (0.2) to less than 1",
        ),
        (Schedule::cosine(9, 1.0), "max_beta is 1, expected a number between 0 and 1"),
        (Schedule::flow(9, 0.0, 1.0), "t_min is 0, expected a number above 0"),
        (Schedule::flow(9, 0.1, 1.5), "t_max is 1.5, expected at most 1"),
        (Schedule::from_sigmas(&[]), "levels is 0, expected from 2 to 10000000 levels"),
        (Schedule::from_betas(&[0.5, 2.0]), "beta is 2, expected a number between 0 and 1"),
    ];
    for (result, message) in table {
        assert_eq!(result.unwrap_err().to_string(), message);
    }
    let schedule = Schedule::ddpm(100, 0.001, 0.02).unwrap();
    let error = schedule.grid(0).unwrap_err().to_string();
    assert_eq!(error, "steps is 0, expected a whole number from 1 to 10000000");
}

/// All pairs of odd numbers, in every constructor: an error or something sound.
#[test]
fn no_number_breaks_a_constructor() {
    for a in NUMBERS {
        for b in NUMBERS {
            let _ = NoiseLevel::new(a, b);
            for n in COUNTS.into_iter().chain([7]) {
                for spec in ScheduleSpec::all() {
                    let mut spec = spec;
                    let names: Vec<_> = spec.info().parameters.iter().map(|p| p.0).collect();
                    spec.set("n", &n.to_string()).unwrap();
                    for (name, value) in names[1..].iter().zip([a, b]) {
                        spec.set(name, &value.to_string()).unwrap();
                    }
                    if let Ok(schedule) = spec.build() {
                        assert!(
                            schedule.levels().iter().all(|l| l.sigma > 0.0 && l.sigma.is_finite())
                        );
                    }
                }
            }
            let _ =
                (Ve::new(a, b), VpLinear::new(a, b), VpScaledLinear::new(a, b), SubVp::new(a, b));
            let _ = (VpCosine::new(a), Mode::new(a));
            for level in [
                LogNormal::new(a, b).map(|d| d.level(b)),
                LogitNormal::new(a, b).map(|d| d.level(a)),
                Mode::new(a).map(|d| d.level(b)),
            ]
            .into_iter()
            .flatten()
            {
                NoiseLevel::new(level.alpha, level.sigma).unwrap();
            }
        }
    }
}

#[test]
fn no_number_breaks_a_grid() {
    let schedule = Schedule::ldm(100, 0.001, 0.1).unwrap();
    for a in NUMBERS {
        for b in NUMBERS {
            for steps in COUNTS.into_iter().chain([7]) {
                let grids: [Option<Grid>; 8] = [
                    Karras { sigma_min: a, sigma_max: b, rho: 7.0 }.grid(steps).ok(),
                    Karras { sigma_min: 0.1, sigma_max: a, rho: b }.grid(steps).ok(),
                    Exponential { sigma_min: a, sigma_max: b }.grid(steps).ok(),
                    PolyExponential { sigma_min: 0.1, sigma_max: a, rho: b }.grid(steps).ok(),
                    UniformLambda { lambda_min: a, lambda_max: b }.grid(steps).ok(),
                    FlowShift { shift: a, t_min: b, t_max: 1.0 }.grid(steps).ok(),
                    Beta { alpha: a, beta: b, ..Beta::default() }.grid(&schedule, steps).ok(),
                    UniformTime { path: VpLinear::default(), t_min: a, t_max: b }.grid(steps).ok(),
                ];
                for grid in grids.into_iter().flatten() {
                    assert_eq!(grid.steps(), steps);
                }
            }
        }
        let _ = (schedule.shifted(a), schedule.with_terminal_alpha(a), schedule.level_at(a));
        let level = NoiseLevel { alpha: 1.0, sigma: a };
        let t = schedule.timestep(level);
        assert!((0.0..=99.0).contains(&t), "{a} {t}");
        assert!(VpLinear::default().t_of_lambda(a).is_nan() == a.is_nan());
    }
    for steps in [0, 101, 10_000_001, usize::MAX] {
        assert!(Trailing::default().grid(&schedule, steps).is_err());
        assert!(Leading::default().grid(&schedule, steps).is_err());
        assert!(Linspace::default().grid(&schedule, steps).is_err());
        assert!(schedule.grid(steps).is_err());
    }
    assert!(Ays::Sd1.grid(0).is_err() && Ays::Sd1.grid(usize::MAX).is_err());
}

#[test]
fn karras_of_a_flow_refuses_times_above_one() {
    let flow = Schedule::flow(100, 0.01, 1.0).unwrap();
    let mut spec = GridSpec::by_name("karras").unwrap();
    assert_eq!(spec.grid(&flow, 5).unwrap().start(), NoiseLevel::flow(1.0));
    spec.set("sigma-max", "80").unwrap();
    let error = spec.grid(&flow, 5).unwrap_err().to_string();
    assert_eq!(error, "sigma_max is 80, expected at most 1, the last time of a flow schedule");
}

proptest! {
    #[test]
    fn any_bits_are_answered(bits in any::<[u64; 3]>(), n in 0..40_usize) {
        let [a, b, c] = bits.map(f64::from_bits);
        let _ = (Schedule::log_linear(n, a, b), Schedule::ddpm(n, a, b), Schedule::ldm(n, a, b));
        let _ = (Schedule::sigmoid(n, a, b), Schedule::flow(n, a, b), Schedule::cosine(n, a));
        let _ = (Schedule::from_sigmas(&[a, b, c]), Schedule::from_betas(&[a, b, c]));
        let _ = (Grid::from_sigmas(&[a, b, c]), Karras { sigma_min: a, sigma_max: b, rho: c }.grid(n));
    }
}
