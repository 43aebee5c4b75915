//! Stochastic samplers: trajectories of k-diffusion and diffusers (`golden/make_stochastic.py`), and
//! convergence, pathwise and in distribution.

use crate::{max_difference, mixture, rows, unit_noise};
use serde_json::Value;
use tch::{Kind, Tensor};
use tweedie_core::{DenoiserExt, Grid, Noise, NoiseLevel, Result, closed_form::Gaussian};
use tweedie_samplers::{
    DpmPp2MSde, DpmPp3MSde, DpmPpSde, EulerAncestral, EulerMaruyama, PredictorCorrector, Restart,
    SaSolver, Sampler, SamplerSpec,
};

fn tensors(value: &Value) -> Vec<Vec<Vec<f64>>> {
    serde_json::from_value(value.clone()).unwrap()
}

fn cases() -> Vec<(Box<dyn Sampler>, Value)> {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../golden/stochastic.json")).unwrap();
    assert_eq!(cases.len(), 16);
    let with_sampler = |case: Value| {
        let mut settings = case["settings"].clone();
        settings["name"] = case["name"].clone();
        if case["name"] == "dpmpp-3m-sde" {
            settings["half_difference"] = true.into();
        }
        if case["name"] == "sa-solver" {
            settings["lower_order_final"] = true.into();
        }
        let spec: SamplerSpec = serde_json::from_value(settings).unwrap();
        (spec.build(), case)
    };
    cases.into_iter().map(with_sampler).collect()
}

/// Every state of the reference, on every path. Both sides compute in double precision; the state
/// reaches 10, so 1e-11 is thousands of roundings on the references' own path.
#[test]
fn trajectories_agree() {
    for (sampler, case) in cases() {
        let sigmas: Vec<f64> = serde_json::from_value(case["sigmas"].clone()).unwrap();
        let flow = |s: f64| NoiseLevel::flow(s / (1.0 + s));
        for path in [NoiseLevel::ve, NoiseLevel::vp, flow] {
            let grid = Grid::from_levels(sigmas.iter().map(|&s| path(s)).collect()).unwrap();
            let noise = Noise::replay(tensors(&case["noise"]).iter().map(|z| rows(z)));
            let x = rows(&serde_json::from_value::<Vec<Vec<f64>>>(case["x"].clone()).unwrap());
            let expected = tensors(&case["trajectory"]);
            let denoiser = mixture();
            let mut seen = 0;
            let start = x * grid.levels()[0].alpha;
            for (step, expected) in
                sampler.steps(&denoiser, start, &grid, noise).unwrap().zip(&expected)
            {
                let step = step.unwrap();
                let off = max_difference(&(step.x / step.level.alpha), &rows(expected));
                assert!(
                    off < 1e-10,
                    "{} {} step {seen}: off by {off}",
                    case["name"],
                    case["settings"]
                );
                seen += 1;
            }
            assert_eq!(seen, grid.steps());
        }
    }
}

/// k-diffusion's 2M and 3M SDE fail with one step to clean data; the answer is the estimate.
#[test]
fn one_step_to_clean_data_is_the_estimate() {
    for name in ["dpmpp-2m-sde", "dpmpp-3m-sde", "dpmpp-sde", "euler-ancestral", "sa-solver"] {
        let sampler = SamplerSpec::by_name(name).unwrap().build();
        let grid = Grid::from_sigmas(&[3.0, 0.0]).unwrap();
        let x = unit_noise(5) * 3.0;
        let x0 = mixture();
        let expected = tweedie_core::Denoiser::denoise(&x0, &x, NoiseLevel::ve(3.0)).unwrap();
        let end = sampler.sample(&x0, x, &grid, Noise::replay([])).unwrap();
        assert!(max_difference(&end, &expected) < 1e-12, "{name}");
    }
}

fn geometric(steps: usize, path: fn(f64) -> NoiseLevel) -> Grid {
    let at = |i: usize| 10.0 * 0.01f64.powf(i as f64 / steps as f64);
    Grid::from_levels((0..=steps).map(|i| path(at(i))).collect()).unwrap()
}

/// The ends of paths of one Brownian motion, 400 of them, as `x/alpha`.
fn along_one_path(sampler: &dyn Sampler, steps: usize, path: fn(f64) -> NoiseLevel) -> Tensor {
    let grid = geometric(steps, path);
    let levels = grid.levels();
    let x = unit_noise(400) * levels[0].sigma;
    sampler.sample(&mixture(), x, &grid, Noise::brownian(7)).unwrap() / levels[steps].alpha
}

/// With Brownian noise every solver of the reverse SDE goes to *one* solution: mean distances to
/// it fall at strong order 1, and solvers and paths agree with each other. Independent noise ends
/// elsewhere. (The root-mean-square falls slower: between two components a small error now and
/// then becomes a large one.)
#[test]
fn sde_samplers_converge_along_their_path() {
    let mean = |a: &Tensor, b: &Tensor| (a - b).abs().mean(Kind::Double).double_value(&[]);
    let fine = along_one_path(&DpmPp2MSde::default(), 1024, NoiseLevel::vp);
    let samplers: [(&str, Box<dyn Sampler>); 5] = [
        ("euler-ancestral", Box::new(EulerAncestral::default())),
        ("dpmpp-sde", Box::new(DpmPpSde::default())),
        ("dpmpp-2m-sde", Box::new(DpmPp2MSde::default())),
        ("dpmpp-3m-sde", Box::new(DpmPp3MSde::default())),
        ("sa-solver", Box::new(SaSolver::default())),
    ];
    for (name, sampler) in samplers {
        let at = |steps| along_one_path(sampler.as_ref(), steps, NoiseLevel::ve);
        let (coarse, middle) = (mean(&at(32), &fine), mean(&at(128), &fine));
        let order = (coarse / middle).log2() / 2.0;
        println!("{name}: {coarse:.4} {middle:.4} strong order {order:.2}");
        assert!(order > 0.75, "{name}: strong order {order:.2} ({coarse:.4} to {middle:.4})");
        assert!(middle < 0.05, "{name}: {middle}");
    }
    let independent = geometric(128, NoiseLevel::ve);
    let x = unit_noise(400) * 10.0;
    let other =
        DpmPp2MSde::default().sample(&mixture(), x, &independent, Noise::seeded(7)).unwrap();
    assert!(mean(&other, &fine) > 0.1, "independent noise ends elsewhere");
}

/// Without noise they are solvers of the ODE, of their stated order. From sigma 80, where the
/// estimate hardly moves: the multistep ones begin with a step of order 1.
#[test]
fn without_noise_they_have_the_order_of_the_ode_solver() {
    let end = |sampler: &dyn Sampler, steps: usize| {
        let at = |i: usize| 80.0 * (0.1f64 / 80.0).powf(i as f64 / steps as f64);
        let grid = Grid::from_levels((0..=steps).map(|i| NoiseLevel::vp(at(i))).collect()).unwrap();
        let x = unit_noise(100) * grid.levels()[0].sigma;
        sampler.sample(&mixture(), x, &grid, Noise::replay([])).unwrap()
    };
    let quiet = |json: Value| serde_json::from_value::<SamplerSpec>(json).unwrap().build();
    // The error of 2,048 steps at order 3 is a five-hundredth of that of 256.
    let best = quiet(serde_json::json!({"name": "dpmpp-3m-sde", "eta": 0.0}));
    let exact = end(best.as_ref(), 2048);
    let cases = [
        (1.0, serde_json::json!({"name": "euler-ancestral", "eta": 0.0})),
        (2.0, serde_json::json!({"name": "dpm-2-ancestral", "eta": 0.0})),
        (2.0, serde_json::json!({"name": "dpmpp-2s-ancestral", "eta": 0.0})),
        (2.0, serde_json::json!({"name": "dpmpp-sde", "eta": 0.0})),
        (2.0, serde_json::json!({"name": "dpmpp-2m-sde", "eta": 0.0})),
        (2.0, serde_json::json!({"name": "dpmpp-2m-sde", "eta": 0.0, "solver_type": "heun"})),
        (3.0, serde_json::json!({"name": "dpmpp-3m-sde", "eta": 0.0})),
        (2.0, serde_json::json!({"name": "dpmpp-3m-sde", "eta": 0.0, "half_difference": true})),
        (
            1.0,
            serde_json::json!({"name": "sa-solver", "tau": 0.0, "predictor_order": 1, "corrector_order": 0}),
        ),
        (
            2.0,
            serde_json::json!({"name": "sa-solver", "tau": 0.0, "predictor_order": 2, "corrector_order": 0}),
        ),
        (
            3.0,
            serde_json::json!({"name": "sa-solver", "tau": 0.0, "predictor_order": 3, "corrector_order": 0}),
        ),
    ];
    for (order, json) in cases {
        let sampler = quiet(json.clone());
        let error = |n| max_difference(&end(sampler.as_ref(), n), &exact);
        let measured = (error(128) / error(256)).log2();
        println!("{json}: order {measured:.2}");
        assert!((measured - order).abs() < 0.35, "{json}: order {measured:.2}, not {order}");
    }
}

/// Data that are normal, with mean 0.3 and variance 0.49.
fn normal_data() -> Gaussian {
    let scalar = |v: f64| Tensor::from_slice(&[v]);
    Gaussian::new(scalar(0.3), scalar(0.49)).unwrap()
}

/// Weak order on normal data, where the error of the variance is known without sampling: a step
/// is linear in `x` and the noise, so the variance of the end is that of one sample's response to
/// each of its inputs. The start and each step's noise are set to 1 in turn, the rest to 0.
fn end_variance(sampler: &dyn Sampler, grid: &Grid, draws: usize) -> f64 {
    let one = |v: f64| Tensor::from_slice(&[v]).reshape([1, 1]);
    let run = |start: f64, hot: Option<usize>| {
        let noise = Noise::replay((0..draws).map(|i| one(f64::from(u8::from(Some(i) == hot)))));
        let end = sampler.sample(&normal_data(), one(start), grid, noise).unwrap();
        end.double_value(&[0, 0])
    };
    let still = run(0.0, None);
    let first = grid.levels()[0];
    // The start is drawn from the noisy data's own distribution.
    let start = (first.alpha.powi(2) * 0.49 + first.sigma.powi(2)).sqrt();
    let squares = (0..draws).map(|i| (run(0.0, Some(i)) - still).powi(2)).sum::<f64>();
    squares + (run(start, None) - still).powi(2)
}

#[test]
fn weak_order_in_the_variance() {
    let spec = |json: Value| serde_json::from_value::<SamplerSpec>(json).unwrap().build();
    let cases = [
        (1, 1.0, spec(serde_json::json!({"name": "euler-ancestral"}))),
        (2, 1.0, spec(serde_json::json!({"name": "dpmpp-sde"}))),
        (1, 2.0, spec(serde_json::json!({"name": "dpmpp-2m-sde"}))),
        (1, 1.0, spec(serde_json::json!({"name": "euler-maruyama", "sde": "vp"}))),
        (1, 1.0, spec(serde_json::json!({"name": "euler-maruyama", "sde": "ve"}))),
        (1, 1.0, spec(serde_json::json!({"name": "euler-maruyama", "sde": "sub-vp"}))),
        (1, 2.0, spec(serde_json::json!({"name": "sa-solver"}))),
        // The first velocity, and two draws a step.
        (3, 1.0, spec(serde_json::json!({"name": "cld"}))),
        (3, 1.0, spec(serde_json::json!({"name": "cld", "velocity_variance": 1.0}))),
        (
            1,
            1.0,
            spec(
                serde_json::json!({"name": "sa-solver", "predictor_order": 1, "corrector_order": 0}),
            ),
        ),
    ];
    for (each, least, sampler) in cases {
        let error = |steps: usize| {
            let grid = geometric(steps, NoiseLevel::ve);
            let exact = 0.49 + grid.levels()[steps].sigma.powi(2);
            (end_variance(sampler.as_ref(), &grid, each * steps) - exact).abs()
        };
        let (coarse, fine) = (error(64), error(128));
        let order = (coarse / fine).log2();
        println!("weak order {order:.2} ({coarse:.2e} to {fine:.2e}), at least {least}");
        assert!(order > least - 0.2, "weak order {order:.2} ({coarse:.2e} to {fine:.2e})");
        assert!(fine < 0.05, "{fine}");
    }
}

/// Langevin steps alone keep the distribution, to their step size; the corrector repairs a start
/// that is far too narrow.
#[test]
fn the_corrector_mends_the_distribution() {
    let n = 20_000;
    let sigma = 0.5;
    let grid = Grid::from_sigmas(&[sigma, sigma * 0.999]).unwrap();
    let spread = |corrector_steps| {
        let mut noise = Noise::seeded(2);
        let x = noise.initial(&[n, 1], Kind::Double, tch::Device::Cpu).unwrap() * 0.2;
        let sampler = PredictorCorrector { snr: 0.3, corrector_steps };
        let end = sampler.sample(&normal_data(), x, &grid, noise).unwrap();
        end.var(true).double_value(&[])
    };
    let right = 0.49 + sigma * sigma;
    // ε = 0.18·sigma² widens the stationary variance by about 3 %; a standard error is 1 %.
    assert!(spread(0) < 0.1 && (spread(60) / right - 1.0).abs() < 0.08, "{}", spread(60));
}

/// Heun's method between the restarts, so the variance of normal data comes out at order 2, with as
/// many steps within; the calls are those that are said.
#[test]
fn restarts_keep_the_distribution_at_order_2() {
    let error = |steps: usize| {
        let grid = geometric(steps, NoiseLevel::vp);
        let sampler = Restart { s_min: 0.3, s_max: 2.0, steps, repeats: 3, s_noise: 1.0 };
        let counted = normal_data().counted();
        let zeros = Noise::replay((0..3).map(|_| Tensor::zeros([1, 1], tch::kind::DOUBLE_CPU)));
        let x = Tensor::zeros([1, 1], tch::kind::DOUBLE_CPU);
        let _ = sampler.sample(&counted, x, &grid, zeros).unwrap();
        assert_eq!(counted.calls(), sampler.evaluations(&grid));
        assert_eq!(counted.calls(), 2 * steps + 3 * 2 * steps);
        let end = grid.levels()[steps];
        let exact = end.alpha.powi(2) * 0.49 + end.sigma.powi(2);
        (end_variance(&sampler, &grid, 3) - exact).abs()
    };
    let (coarse, fine) = (error(32), error(64));
    let order = (coarse / fine).log2();
    assert!(order > 1.8 && fine < 2e-3, "order {order:.2} ({coarse:.2e} to {fine:.2e})");
}

/// The whole way in three pieces is the whole way: a sampler cannot know where a run began.
#[test]
fn brownian_noise_has_no_memory_of_the_run() {
    let shrink = |x: &Tensor, l: NoiseLevel| -> Result<Tensor> {
        Ok(x * (l.alpha / (l.alpha.powi(2) + l.sigma.powi(2))))
    };
    let levels = geometric(12, NoiseLevel::vp).levels().to_vec();
    let run = |x: Tensor, from: usize, to: usize| {
        let grid = Grid::from_levels(levels[from..=to].to_vec()).unwrap();
        EulerAncestral::default().sample(&shrink, x, &grid, Noise::brownian(1)).unwrap()
    };
    let whole = run(unit_noise(3), 0, 12);
    let pieces = run(run(run(unit_noise(3), 0, 5), 5, 6), 6, 12);
    assert!(whole.equal(&pieces));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let refused = |json: Value| {
        let spec: SamplerSpec = serde_json::from_value(json).unwrap();
        let grid = Grid::from_sigmas(&[1.0, 0.0]).unwrap();
        spec.build()
            .sample(&mixture(), unit_noise(1), &grid, Noise::seeded(0))
            .unwrap_err()
            .to_string()
    };
    let eta = |name: &str| refused(serde_json::json!({"name": name, "eta": -0.5}));
    for name in [
        "euler-ancestral",
        "dpm-2-ancestral",
        "dpmpp-2s-ancestral",
        "dpmpp-sde",
        "dpmpp-2m-sde",
        "dpmpp-3m-sde",
    ] {
        assert!(eta(name).contains("eta is -0.5"), "{name}");
    }
    assert!(refused(serde_json::json!({"name": "dpmpp-sde", "r": 0.0})).contains("r is 0"));
    assert!(
        refused(serde_json::json!({"name": "sa-solver", "predictor_order": 5}))
            .contains("predictor_order is 5")
    );
    assert!(
        refused(serde_json::json!({"name": "predictor-corrector", "snr": 1.5}))
            .contains("snr is 1.5")
    );
    let crossed = refused(serde_json::json!({"name": "restart", "s_min": 1.0}));
    assert!(crossed.contains("from 1 to 0.3"), "{crossed}");
    let cld = refused(serde_json::json!({"name": "cld", "velocity_variance": -1.0}));
    assert!(cld.contains("velocity_variance is -1"), "{cld}");
    let far = Grid::from_sigmas(&[100.0, 10.0]).unwrap();
    let error = EulerMaruyama::ve().sample(&mixture(), unit_noise(1), &far, Noise::seeded(0));
    assert!(error.unwrap_err().to_string().contains("the noise ratio of a level is 100"));
    let calls = mixture().counted();
    let sampler = PredictorCorrector { corrector_steps: 3, ..Default::default() };
    let grid = geometric(4, NoiseLevel::ve);
    let _ = sampler.sample(&calls, unit_noise(1) * 10.0, &grid, Noise::seeded(0)).unwrap();
    assert_eq!((calls.calls(), sampler.evaluations(&grid)), (16, 16));
}
