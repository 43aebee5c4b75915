//! Samplers by name, for programs and configuration files.

use crate::{
    Accelerated, Dpm2Ancestral, DpmPp2MSde, DpmPp2SAncestral, DpmPp3MSde, DpmPpSde, EdmStochastic,
    Euler, EulerAncestral, Frame, Heun, NamedSde, PredictorCorrector, Restart, SaSolver, Sampler,
};
use serde::{Deserialize, Serialize};

/// A sampler with its settings, as a configuration file says it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum SamplerSpec {
    /// [`Accelerated::ddpm`].
    Ddpm,
    /// [`Accelerated::ddim`].
    Ddim,
    /// [`Accelerated`].
    Accelerated {
        /// See [`Accelerated::gam`].
        #[serde(default = "default_gam")]
        gam: f64,
        /// See [`Accelerated::mu`].
        #[serde(default)]
        mu: f64,
    },
    /// [`Euler`].
    Euler,
    /// [`Heun`].
    Heun {
        /// See [`Heun::frame`].
        #[serde(default)]
        frame: Frame,
    },
    /// [`EdmStochastic`].
    EdmStochastic {
        /// See [`EdmStochastic::s_churn`].
        s_churn: f64,
        /// See [`EdmStochastic::s_tmin`].
        s_tmin: f64,
        /// See [`EdmStochastic::s_tmax`].
        s_tmax: f64,
        /// See [`EdmStochastic::s_noise`].
        s_noise: f64,
    },
    /// [`EulerAncestral`].
    EulerAncestral(EulerAncestral),
    /// [`Dpm2Ancestral`].
    #[serde(rename = "dpm-2-ancestral")]
    Dpm2Ancestral(Dpm2Ancestral),
    /// [`DpmPp2SAncestral`].
    #[serde(rename = "dpmpp-2s-ancestral")]
    DpmPp2SAncestral(DpmPp2SAncestral),
    /// [`DpmPpSde`].
    #[serde(rename = "dpmpp-sde")]
    DpmPpSde(DpmPpSde),
    /// [`DpmPp2MSde`].
    #[serde(rename = "dpmpp-2m-sde")]
    DpmPp2MSde(DpmPp2MSde),
    /// [`DpmPp3MSde`].
    #[serde(rename = "dpmpp-3m-sde")]
    DpmPp3MSde(DpmPp3MSde),
    /// [`SaSolver`].
    SaSolver(SaSolver),
    /// [`PredictorCorrector`].
    PredictorCorrector(PredictorCorrector),
    /// [`Restart`].
    Restart(Restart),
    /// [`EulerMaruyama`](crate::EulerMaruyama).
    EulerMaruyama(NamedSde),
}

/// What a list of samplers says of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Info {
    /// The name that [`SamplerSpec::by_name`] takes.
    pub name: &'static str,
    /// Order of convergence of its deterministic part.
    pub order: u32,
    /// Evaluations of the denoiser in a step that does not end without noise.
    pub evaluations: u32,
    /// Whether it draws noise.
    pub stochastic: bool,
    /// Where it comes from.
    pub source: &'static str,
}

const fn info(
    name: &'static str,
    order: u32,
    evaluations: u32,
    stochastic: bool,
    source: &'static str,
) -> Info {
    Info { name, order, evaluations, stochastic, source }
}

const ALL: [Info; 16] = [
    info("ddpm", 1, 1, true, "Ho et al. 2020, arXiv:2006.11239"),
    info("ddim", 1, 1, false, "Song et al. 2020, arXiv:2010.02502"),
    info("accelerated", 1, 1, false, "Permenter & Yuan 2023, arXiv:2306.04848"),
    info("euler", 1, 1, false, "Karras et al. 2022, arXiv:2206.00364"),
    info("heun", 2, 2, false, "Karras et al. 2022, arXiv:2206.00364, Alg. 1"),
    info("edm-stochastic", 2, 2, true, "Karras et al. 2022, arXiv:2206.00364, Alg. 2"),
    info("euler-ancestral", 1, 1, true, "k-diffusion; Ho et al. 2020, arXiv:2006.11239"),
    info("dpm-2-ancestral", 2, 2, true, "k-diffusion"),
    info("dpmpp-2s-ancestral", 2, 2, true, "Lu et al. 2022, arXiv:2211.01095; k-diffusion"),
    info("dpmpp-sde", 2, 2, true, "Lu et al. 2022, arXiv:2211.01095; k-diffusion"),
    info("dpmpp-2m-sde", 2, 1, true, "Lu et al. 2022, arXiv:2211.01095; k-diffusion"),
    info("dpmpp-3m-sde", 3, 1, true, "k-diffusion"),
    info("sa-solver", 2, 1, true, "Xue et al. 2023, arXiv:2309.05019"),
    info("predictor-corrector", 1, 2, true, "Song et al. 2020, arXiv:2011.13456"),
    info("restart", 2, 2, true, "Xu et al. 2023, arXiv:2306.14878, Alg. 1"),
    info("euler-maruyama", 1, 1, true, "Song et al. 2020, arXiv:2011.13456"),
];

fn default_gam() -> f64 {
    Accelerated::default().gam
}

impl SamplerSpec {
    /// Every sampler there is.
    pub fn all() -> &'static [Info] {
        &ALL
    }

    /// The sampler of that name, with its default settings.
    pub fn by_name(name: &str) -> Option<Self> {
        let edm = EdmStochastic::default();
        Some(match name {
            "ddpm" => SamplerSpec::Ddpm,
            "ddim" => SamplerSpec::Ddim,
            "accelerated" => SamplerSpec::Accelerated { gam: default_gam(), mu: 0.0 },
            "euler" => SamplerSpec::Euler,
            "heun" => SamplerSpec::Heun { frame: Frame::default() },
            "edm-stochastic" => SamplerSpec::EdmStochastic {
                s_churn: edm.s_churn,
                s_tmin: edm.s_tmin,
                s_tmax: edm.s_tmax,
                s_noise: edm.s_noise,
            },
            "euler-ancestral" => SamplerSpec::EulerAncestral(Default::default()),
            "dpm-2-ancestral" => SamplerSpec::Dpm2Ancestral(Default::default()),
            "dpmpp-2s-ancestral" => SamplerSpec::DpmPp2SAncestral(Default::default()),
            "dpmpp-sde" => SamplerSpec::DpmPpSde(Default::default()),
            "dpmpp-2m-sde" => SamplerSpec::DpmPp2MSde(Default::default()),
            "dpmpp-3m-sde" => SamplerSpec::DpmPp3MSde(Default::default()),
            "sa-solver" => SamplerSpec::SaSolver(Default::default()),
            "predictor-corrector" => SamplerSpec::PredictorCorrector(Default::default()),
            "restart" => SamplerSpec::Restart(Default::default()),
            "euler-maruyama" => SamplerSpec::EulerMaruyama(Default::default()),
            _ => return None,
        })
    }

    /// The sampler itself.
    pub fn build(self) -> Box<dyn Sampler> {
        match self {
            SamplerSpec::Ddpm => Box::new(Accelerated::ddpm()),
            SamplerSpec::Ddim => Box::new(Accelerated::ddim()),
            SamplerSpec::Accelerated { gam, mu } => Box::new(Accelerated { gam, mu }),
            SamplerSpec::Euler => Box::new(Euler),
            SamplerSpec::Heun { frame } => Box::new(Heun { frame }),
            SamplerSpec::EdmStochastic { s_churn, s_tmin, s_tmax, s_noise } => {
                Box::new(EdmStochastic { s_churn, s_tmin, s_tmax, s_noise })
            }
            SamplerSpec::EulerAncestral(sampler) => Box::new(sampler),
            SamplerSpec::Dpm2Ancestral(sampler) => Box::new(sampler),
            SamplerSpec::DpmPp2SAncestral(sampler) => Box::new(sampler),
            SamplerSpec::DpmPpSde(sampler) => Box::new(sampler),
            SamplerSpec::DpmPp2MSde(sampler) => Box::new(sampler),
            SamplerSpec::DpmPp3MSde(sampler) => Box::new(sampler),
            SamplerSpec::SaSolver(sampler) => Box::new(sampler),
            SamplerSpec::PredictorCorrector(sampler) => Box::new(sampler),
            SamplerSpec::Restart(sampler) => Box::new(sampler),
            SamplerSpec::EulerMaruyama(sampler) => Box::new(sampler),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_builds_and_nothing_else() {
        for info in SamplerSpec::all() {
            let spec = SamplerSpec::by_name(info.name).unwrap();
            let json = serde_json::to_value(spec).unwrap();
            assert_eq!(json["name"], info.name);
            assert_eq!(serde_json::from_value::<SamplerSpec>(json).unwrap(), spec);
        }
        assert!(SamplerSpec::by_name("dpm").is_none());
    }
}
