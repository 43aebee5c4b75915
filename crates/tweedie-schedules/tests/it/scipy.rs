//! scipy's quantiles, through the distributions that use them.

use serde::Deserialize;
use tweedie_schedules::Schedule;
use tweedie_schedules::grid::{Beta, Over};
use tweedie_schedules::training::{LevelSampler, LogNormal, LogitNormal, Mode};

use crate::golden::{close, part};

#[derive(Deserialize)]
struct Distributions {
    u: Vec<f64>,
    log_normal: Vec<f64>,
    logit_normal: Vec<f64>,
    mode: Vec<Density>,
    beta: Vec<Quantiles>,
}

#[derive(Deserialize)]
struct Density {
    scale: f64,
    t: Vec<f64>,
}

#[derive(Deserialize)]
struct Quantiles {
    alpha: f64,
    beta: f64,
    x: Vec<f64>,
}

fn golden() -> Distributions {
    part(include_str!("../golden/scipy.json"), "distributions")
}

#[test]
fn training_noise() {
    let golden = golden();
    let sigmas = |levels: &dyn LevelSampler| -> Vec<f64> {
        golden.u.iter().map(|&u| levels.level(u).sigma).collect()
    };
    // Both sides in double precision; an exponential of up to 8 multiplies the last place.
    close(&sigmas(&LogNormal::default()), &golden.log_normal, 1e-14, "log-normal");
    let logit = LogitNormal::new(0.5, 0.8).unwrap();
    close(&sigmas(&logit), &golden.logit_normal, 1e-14, "logit-normal");
    for Density { scale, t } in &golden.mode {
        for (a, b) in sigmas(&Mode::new(*scale).unwrap()).iter().zip(t) {
            // scipy's side starts from 1 − u, which rounds away the smallest u.
            assert!((a - b).abs() < 1e-15, "mode {scale}: {a}, expected {b}");
        }
    }
}

/// Over sigmas from nearly 0 to 1 a grid of 101 steps shows the quantiles of hundredths.
#[test]
fn beta_quantiles() {
    let golden = golden();
    let table = Schedule::from_sigmas(&[1e-300, 1.0]).unwrap();
    let mut compared = 0;
    for Quantiles { alpha, beta, x } in &golden.beta {
        let grid =
            Beta { alpha: *alpha, beta: *beta, over: Over::Sigma }.grid(&table, 101).unwrap();
        for (u, expected) in golden.u.iter().zip(x) {
            let hundredth = (u * 100.0).round();
            if hundredth < 1.0 || (u - hundredth / 100.0).abs() > 1e-15 {
                continue;
            }
            let found = grid[100 - hundredth as usize].sigma;
            // 1e-14 of the logarithm of a gamma function of up to 100, over the density.
            assert!(
                (found - expected).abs() <= 1e-11 * expected,
                "{u}: {found}, expected {expected}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 45);
}
