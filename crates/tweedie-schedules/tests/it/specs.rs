//! Specifications by name and in JSON, as recipes hold them.

use tweedie_schedules::spec::LevelSpec;
use tweedie_schedules::{GridSpec, LevelSampler as _, LogLinear, Schedule, ScheduleSpec};

fn schedule(json: &str) -> Result<ScheduleSpec, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn defaults_are_smalldiffusions() {
    let log_linear = schedule(r#"{"type": "log-linear", "n": 200}"#).unwrap();
    let expected = LogLinear { n: 200, sigma_min: 0.02, sigma_max: 10.0 };
    assert_eq!(log_linear, ScheduleSpec::LogLinear(expected));
    let built = schedule(r#"{"type": "ldm"}"#).unwrap().build().unwrap();
    assert_eq!(built, Schedule::ldm(1000, 0.00085, 0.012).unwrap());
}

#[test]
fn unknown_and_mistyped_fields_are_refused() {
    for (json, part) in [
        (r#"{"type": "ddpm", "sigma_min": 1}"#, "unknown field `sigma_min`"),
        (r#"{"type": "ddpn"}"#, "unknown variant `ddpn`"),
        (r#"{"type": "ddpm", "n": -1}"#, "expected usize"),
        (r#"{"type": "ddpm", "n": "many"}"#, "expected usize"),
        (r#"{"n": 3}"#, "missing field `type`"),
    ] {
        let error = schedule(json).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    for json in [
        r#"{"type": "karras", "rhoo": 7}"#,
        r#"{"type": "own", "x": 1}"#,
        r#"{"type": "leading", "end": "x"}"#,
    ] {
        assert!(serde_json::from_str::<GridSpec>(json).is_err(), "{json}");
    }
    for json in
        [r#"{"type": "own", "x": 1}"#, r#"{"type": "mode", "s": 1}"#, r#"{"type": "importance"}"#]
    {
        assert!(serde_json::from_str::<LevelSpec>(json).is_err(), "{json}");
    }
}

#[test]
fn every_spec_goes_through_json_and_back() {
    for spec in ScheduleSpec::all() {
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(schedule(&json).unwrap(), spec, "{json}");
        // A bare name is the same with its defaults.
        assert_eq!(schedule(&format!(r#"{{"type": "{}"}}"#, spec.name())).unwrap(), spec);
        assert_eq!(ScheduleSpec::by_name(spec.name()).unwrap(), spec);
    }
    for spec in GridSpec::all() {
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<GridSpec>(&json).unwrap(), spec, "{json}");
        let bare = format!(r#"{{"type": "{}"}}"#, spec.name());
        assert_eq!(serde_json::from_str::<GridSpec>(&bare).unwrap(), spec, "{bare}");
        assert_eq!(GridSpec::by_name(spec.name()).unwrap(), spec);
    }
}

#[test]
fn parameters_are_set_by_name() {
    let mut spec = ScheduleSpec::by_name("ddpm").unwrap();
    spec.set("beta-end", "0.05").unwrap();
    spec.set("n", "200").unwrap();
    assert_eq!(spec.build().unwrap(), Schedule::ddpm(200, 0.0001, 0.05).unwrap());
    let info = spec.info();
    assert_eq!((info.name, info.parameters.len()), ("ddpm", 3));
    assert_eq!(info.parameters[2], ("beta_end", "0.05".to_owned()));

    for (result, message) in [
        (
            spec.set("rho", "7"),
            r#"ddpm has no parameter "rho", expected one of n, beta_start, beta_end"#,
        ),
        (spec.set("n", "2.5"), "n is 2.5, expected a whole number"),
        (spec.set("beta_end", "x"), "beta_end is x, expected a number"),
        (
            GridSpec::by_name("leading").unwrap().set("end", "x"),
            "end is x, expected one of least, clean",
        ),
        (
            GridSpec::by_name("own").unwrap().set("rho", "7"),
            r#"own has no parameter "rho", expected one of none"#,
        ),
    ] {
        assert_eq!(result.unwrap_err().to_string(), message);
    }
    let error = ScheduleSpec::by_name("nope").unwrap_err().to_string();
    assert!(
        error.starts_with(r#"there is no schedule named "nope", expected one of log-linear, ddpm"#)
    );
}

#[test]
fn training_noise_by_name() {
    let schedule = Schedule::log_linear(3, 0.1, 10.0).unwrap();
    let level = |json: &str, u: f64| {
        let spec: LevelSpec = serde_json::from_str(json).unwrap();
        spec.build(&schedule).unwrap().level(u)
    };
    assert_eq!(level(r#"{"type": "own"}"#, 0.5), schedule.levels()[1]);
    assert_eq!(level(r#"{"type": "uniform-index"}"#, 0.9), schedule.levels()[2]);
    assert_eq!(level(r#"{"type": "log-normal"}"#, 0.5).sigma, (-1.2_f64).exp());
    assert_eq!(level(r#"{"type": "logit-normal"}"#, 0.5).sigma, 0.5);
    assert_eq!(level(r#"{"type": "mode", "scale": 0.0}"#, 0.25).sigma, 0.25);
    let importance = level(r#"{"type": "importance", "weights": [0, 0, 1]}"#, 0.1);
    assert_eq!(importance, schedule.most());
}
