//! Trajectories of smalldiffusion and k-diffusion (`golden/make.py`).

use crate::{max_difference, mixture, rows};
use serde_json::Value;
use tweedie_core::{Grid, Noise};
use tweedie_samplers::{Accelerated, EdmStochastic, Euler, Heun, Sampler};

fn sampler(case: &Value) -> Box<dyn Sampler> {
    let setting = |name: &str| case["settings"][name].as_f64().unwrap();
    match case["name"].as_str().unwrap() {
        "ddim" => Box::new(Accelerated::ddim()),
        "ddpm" => Box::new(Accelerated::ddpm()),
        "accelerated" => Box::new(Accelerated { gam: setting("gam"), mu: setting("mu") }),
        "euler" => Box::new(Euler),
        "heun" => Box::new(Heun::default()),
        "edm-stochastic" => Box::new(EdmStochastic {
            s_churn: setting("s_churn"),
            s_tmin: setting("s_tmin"),
            s_tmax: setting("s_tmax"),
            s_noise: setting("s_noise"),
        }),
        other => panic!("no sampler {other}"),
    }
}

fn tensors(value: &Value) -> Vec<Vec<Vec<f64>>> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Both sides compute in double precision and differ by the order of operations only; states
/// reach 160, so 1e-10 is some ten thousand roundings.
#[test]
fn trajectories_agree() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../golden/trajectories.json")).unwrap();
    assert_eq!(cases.len(), 7);
    for case in &cases {
        let sigmas: Vec<f64> = serde_json::from_value(case["sigmas"].clone()).unwrap();
        let grid = Grid::from_sigmas(&sigmas).unwrap();
        let noise = Noise::replay(tensors(&case["noise"]).iter().map(|z| rows(z)));
        let start = rows(&serde_json::from_value::<Vec<Vec<f64>>>(case["x"].clone()).unwrap());
        let expected = tensors(&case["trajectory"]);
        let mut seen = 0;
        let denoiser = mixture();
        let steps = sampler(case).steps(&denoiser, start, &grid, noise).unwrap();
        for (step, expected) in steps.skip(grid.steps() - expected.len()).zip(&expected) {
            let step = step.unwrap();
            let off = max_difference(&step.x, &rows(expected));
            assert!(off < 1e-10, "{} step {}: off by {off}", case["name"], step.index);
            seen += 1;
        }
        assert_eq!(seen, expected.len());
    }
}

/// The same trajectories on the variance-preserving path: the state is smaller by √(1 + sigma²).
#[test]
fn trajectories_do_not_depend_on_the_path() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../golden/trajectories.json")).unwrap();
    for case in &cases {
        let sigmas: Vec<f64> = serde_json::from_value(case["sigmas"].clone()).unwrap();
        for to_path in
            [tweedie_core::NoiseLevel::vp, |s| tweedie_core::NoiseLevel::flow(s / (1.0 + s))]
        {
            let grid = Grid::from_levels(sigmas.iter().map(|&s| to_path(s)).collect()).unwrap();
            let noise = Noise::replay(tensors(&case["noise"]).iter().map(|z| rows(z)));
            let x = rows(&serde_json::from_value::<Vec<Vec<f64>>>(case["x"].clone()).unwrap());
            let (first, last) = (grid.levels()[0], grid.levels()[grid.steps()]);
            let x = sampler(case).sample(&mixture(), x * first.alpha, &grid, noise).unwrap();
            let expected = tensors(&case["trajectory"]);
            let off = max_difference(&(x / last.alpha), &rows(expected.last().unwrap()));
            assert!(off < 1e-9, "{}: off by {off}", case["name"]);
        }
    }
}
