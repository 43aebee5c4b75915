//! Properties of the continuous paths.

use proptest::prelude::*;
use tweedie_schedules::path::{
    Path, RectifiedFlow, SubVp, Trigonometric, Ve, VpCosine, VpLinear, VpScaledLinear,
};
use tweedie_schedules::{NoiseLevel, Schedule};

fn all() -> Vec<(&'static str, Box<dyn Path>)> {
    vec![
        ("ve", Box::new(Ve::default())),
        ("ve2", Box::new(Ve::new(1e-4, 1000.0).unwrap())),
        ("vp-linear", Box::new(VpLinear::default())),
        ("vp-scaled-linear", Box::new(VpScaledLinear::default())),
        ("vp-cosine", Box::new(VpCosine::default())),
        ("vp-cosine0", Box::new(VpCosine::new(0.0).unwrap())),
        ("sub-vp", Box::new(SubVp::default())),
        ("rectified-flow", Box::new(RectifiedFlow)),
        ("trigonometric", Box::new(Trigonometric)),
    ]
}

proptest! {
    #[test]
    fn inverse_of_lambda(t in 1e-6..0.999_f64) {
        for (name, path) in all() {
            let found = path.t_of_lambda(path.lambda(t));
            // lambda is accurate to its last place, about 2e-15; near t = 1 of the paths that end
            // with little signal it falls by less than 10 per unit of t.
            prop_assert!((found - t).abs() < 1e-12, "{}: {} gives {}", name, t, found);
        }
    }

    #[test]
    fn lambda_falls(t in 1e-6..0.99_f64, dt in 1e-6..0.01_f64) {
        for (name, path) in all() {
            prop_assert!(path.lambda(t + dt) < path.lambda(t), "{}", name);
        }
    }

    #[test]
    fn derivatives_are_those_of_the_functions(t in 0.01..0.99_f64) {
        // Central differences: the third derivative times h² and rounding over h.
        let h = 1e-5;
        for (name, path) in all() {
            let slope = |f: &dyn Fn(f64) -> f64| (f(t + h) - f(t - h)) / (2.0 * h);
            let (alpha, sigma) = (slope(&|t| path.alpha(t)), slope(&|t| path.sigma(t)));
            let near = |a: f64, b: f64| (a - b).abs() < 1e-6 * (1.0 + b.abs());
            prop_assert!(near(alpha, path.d_alpha(t)), "{} {} {}", name, alpha, path.d_alpha(t));
            prop_assert!(near(sigma, path.d_sigma(t)), "{} {} {}", name, sigma, path.d_sigma(t));
        }
    }

    #[test]
    fn variance_is_what_the_name_says(t in 0.0..=1.0_f64) {
        for (name, path) in all() {
            let NoiseLevel { alpha, sigma } = path.level(t);
            let kept = match name {
                "ve" | "ve2" => alpha,
                "rectified-flow" => alpha + sigma,
                "sub-vp" => alpha * alpha + sigma,
                _ => alpha * alpha + sigma * sigma,
            };
            prop_assert!((kept - 1.0).abs() < 1e-14, "{} {}", name, kept);
        }
    }
}

#[test]
fn both_ends() {
    for (name, path) in all() {
        let starts_clean = !name.starts_with("ve");
        assert_eq!(path.level(0.0).is_clean(), starts_clean, "{name}");
        let ends_in_noise = ["vp-cosine", "vp-cosine0", "rectified-flow", "trigonometric"];
        assert_eq!(path.level(1.0).alpha == 0.0, ends_in_noise.contains(&name), "{name}");
        assert!(path.level(1.0).lambda() < path.lambda(0.5));
        for (lambda, t) in [(f64::INFINITY, 0.0), (f64::NEG_INFINITY, 1.0), (1e4, 0.0), (-1e4, 1.0)]
        {
            assert!((path.t_of_lambda(lambda) - t).abs() < 1e-12, "{name} {lambda}");
        }
        assert_eq!(path.level(-3.0), path.level(0.0));
    }
}

/// The tables of many levels are points of their paths.
#[test]
fn tables_tend_to_their_paths() {
    // The same betas in ten times as many levels: a tenth each.
    let n = 10_000;
    let ddpm = Schedule::ddpm(n, 0.000_01, 0.002).unwrap();
    let ldm = Schedule::ldm(n, 0.000_085, 0.0012).unwrap();
    let cosine = Schedule::cosine(n, 0.999).unwrap();
    let (linear, scaled) = (VpLinear::default(), VpScaledLinear::default());
    for i in [999, 4999, 8999] {
        let t = (i + 1) as f64 / n as f64;
        for (table, path) in
            [(&ddpm, &linear as &dyn Path), (&ldm, &scaled), (&cosine, &VpCosine::default())]
        {
            // A sum of n terms for an integral, and 1 − beta for exp(−beta): a few parts in n.
            let (found, expected) = (table.levels()[i].lambda(), path.lambda(t));
            assert!((found - expected).abs() < 0.005, "{i}: {found}, expected {expected}");
        }
    }
}
