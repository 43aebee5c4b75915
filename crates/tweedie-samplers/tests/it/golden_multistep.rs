//! Trajectories of k-diffusion and diffusers (`golden/make_multistep.py`, `make_ddpm.py`).

use crate::{max_difference, mixture, rows};
use serde::Deserialize;
use tch::Tensor;
use tweedie_core::{Grid, Noise, NoiseLevel};
use tweedie_samplers::{Sampler, SamplerSpec};

#[derive(Deserialize)]
struct Case {
    spec: SamplerSpec,
    source: String,
    levels: Vec<(f64, f64)>,
    x: Vec<Vec<f64>>,
    #[serde(default)]
    noise: Vec<Vec<Vec<f64>>>,
    trajectory: Vec<Vec<Vec<f64>>>,
}

impl Case {
    fn all() -> Vec<Self> {
        let files = [include_str!("../golden/multistep.json"), include_str!("../golden/ddpm.json")];
        let cases = |file: &&str| serde_json::from_str::<Vec<Self>>(file).unwrap();
        files.iter().flat_map(cases).collect()
    }

    fn levels(&self) -> Vec<NoiseLevel> {
        self.levels.iter().map(|&(alpha, sigma)| NoiseLevel { alpha, sigma }).collect()
    }

    /// The states after each step, from the case's start times `scale`.
    fn run(&self, levels: Vec<NoiseLevel>, scale: f64) -> Vec<Tensor> {
        let grid = Grid::from_levels(levels).unwrap();
        let (sampler, denoiser) = (self.spec.build(), mixture());
        let x = rows(&self.x) * scale;
        let noise = Noise::replay(self.noise.iter().map(|z| rows(z)));
        let steps = sampler.steps(&denoiser, x, &grid, noise).unwrap();
        steps.map(|step| step.unwrap().x).collect()
    }
}

/// Both sides compute in double precision from the same levels and differ by the order of
/// operations: 1e-9 relative to the largest value. Where the reference works out `e^h − 1` by
/// subtraction, or a polynomial's integral by quadrature, that is what it loses.
#[test]
fn trajectories_agree() {
    let cases = Case::all();
    assert_eq!(cases.len(), 41 + 7);
    for case in &cases {
        let states = case.run(case.levels(), 1.0);
        assert_eq!(states.len(), case.trajectory.len());
        for (step, (state, expected)) in states.iter().zip(&case.trajectory).enumerate() {
            let expected = rows(expected);
            let size = f64::try_from(expected.abs().max()).unwrap().max(1.0);
            let off = max_difference(state, &expected) / size;
            assert!(off < 1e-9, "{:?} ({}) step {step}: off by {off:e}", case.spec, case.source);
        }
    }
}

/// What a reference does at one scale, we do at every: the same noise ratios on the other paths
/// end at the same data.
#[test]
fn trajectories_do_not_depend_on_the_path() {
    let paths: [fn(f64) -> NoiseLevel; 3] =
        [NoiseLevel::ve, NoiseLevel::vp, |s| NoiseLevel::flow(s / (1.0 + s))];
    for case in Case::all() {
        let own = case.levels();
        for path in paths {
            let levels: Vec<_> = own.iter().map(|level| path(level.ratio())).collect();
            let (first, last) = (levels[0].alpha / own[0].alpha, levels[levels.len() - 1].alpha);
            let states = case.run(levels, first);
            let expected = rows(case.trajectory.last().unwrap()) / own[own.len() - 1].alpha;
            let off = max_difference(&(states.last().unwrap() / last), &expected);
            assert!(off < 1e-8, "{:?} ({}): off by {off:e}", case.spec, case.source);
        }
    }
}
