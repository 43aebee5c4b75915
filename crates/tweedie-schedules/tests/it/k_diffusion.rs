//! k-diffusion.

use std::collections::BTreeMap;

use serde::Deserialize;
use tweedie_schedules::path::VpLinear;
use tweedie_schedules::{Exponential, Karras, NoiseLevel, PolyExponential, Schedule, UniformTime};

use crate::golden::{close, part};

const FILE: &str = include_str!("../golden/k_diffusion.json");

#[derive(Deserialize)]
struct Case {
    name: String,
    steps: usize,
    params: BTreeMap<String, f64>,
    sigmas: Vec<f64>,
}

#[test]
fn grids() {
    for Case { name, steps, params, sigmas } in part::<Vec<Case>>(FILE, "k_diffusion_grids") {
        let ends = || (params["sigma_min"], params["sigma_max"]);
        let grid = match name.as_str() {
            "karras" => {
                let (sigma_min, sigma_max) = ends();
                Karras { sigma_min, sigma_max, rho: params["rho"] }.grid(steps)
            }
            "exponential" => {
                let (sigma_min, sigma_max) = ends();
                Exponential { sigma_min, sigma_max }.grid(steps)
            }
            "poly-exponential" => {
                let (sigma_min, sigma_max) = ends();
                PolyExponential { sigma_min, sigma_max, rho: params["rho"] }.grid(steps)
            }
            _ => {
                let path = VpLinear::new(params["beta_min"], params["beta_min"] + params["beta_d"]);
                UniformTime { path: path.unwrap(), t_min: params["eps_s"], t_max: 1.0 }.grid(steps)
            }
        };
        let found: Vec<f64> = grid.unwrap().iter().map(|level| level.ratio()).collect();
        // Single precision raised to the seventh power; for `vp` the difference from 1 under the
        // root, where sigma is about 0.01, costs four digits.
        let tolerance = if name == "vp" { 1e-3 } else { 3e-6 };
        close(&found, &sigmas, tolerance, &format!("{name} {steps}"));
    }
}

#[derive(Deserialize)]
struct Timesteps {
    sigma: Vec<f64>,
    t: Vec<f64>,
    nearest: Vec<f64>,
    at: Vec<f64>,
    sigma_at: Vec<f64>,
}

#[test]
fn timesteps() {
    let golden: Timesteps = part(FILE, "timesteps");
    let schedule = Schedule::ldm(1000, 0.00085, 0.012).unwrap();
    let levels = || golden.sigma.iter().map(|&sigma| NoiseLevel::ve(sigma));
    let t: Vec<f64> = levels().map(|level| schedule.timestep(level)).collect();
    close(&t, &golden.t, 1e-10, "timestep");
    let nearest: Vec<f64> = levels().map(|l| schedule.nearest_timestep(l) as f64).collect();
    assert_eq!(nearest, golden.nearest);
    let sigma_at: Vec<f64> = golden.at.iter().map(|&t| schedule.level_at(t).sigma).collect();
    // k-diffusion casts the timestep to single precision, but these are exact in it.
    close(&sigma_at, &golden.sigma_at, 1e-7, "level_at");
}
