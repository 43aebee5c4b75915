//! Samplers by name, for programs and configuration files.

use crate::{
    Accelerated, AnnealedLangevin, BogackiShampine, Cld, Consistency, Ddpm, Deis, DormandPrince,
    Dpm2, Dpm2Ancestral, DpmPp2M, DpmPp2MSde, DpmPp2S, DpmPp2SAncestral, DpmPp3M, DpmPp3MSde,
    DpmPpSde, DpmSolver, DpmSolverV3Normal, EdmStochastic, Euler, EulerAncestral, ExponentialAb,
    Frame, Heun, Ipndm, Lms, Midpoint, NamedSde, Paradigms, Pndm, PredictorCorrector, Restart, Rk4,
    SaSolver, Sampler, Start, UnderdampedLangevin, UniPc,
};
use serde::{Deserialize, Serialize};

/// What a list of samplers says of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Info {
    /// The name that [`SamplerSpec::by_name`] takes.
    pub name: &'static str,
    /// Order of convergence of its deterministic part.
    pub order: u32,
    /// Evaluations of the denoiser in a step that is no first one and does not end without noise;
    /// of one that [chooses its own](Sampler::is_adaptive), in an attempt.
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

/// Makes the type, the list and the ways between them out of one table. A row with a type in
/// brackets has that type's settings; one without is a value of its own.
macro_rules! samplers {
    ($(
        $variant:ident $(($settings:ident))? = $value:expr,
        $name:literal, $order:literal, $evaluations:literal, $stochastic:literal, $source:literal;
    )*) => {
        /// A sampler with its settings, as a configuration file says it: `name`, and fields of
        /// the type; those left out are its defaults.
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name", deny_unknown_fields)]
        #[non_exhaustive]
        pub enum SamplerSpec {
            $(
                #[doc = $source]
                #[serde(rename = $name)]
                $variant $(($settings))?,
            )*
        }

        const ALL: &[Info] =
            &[$(info($name, $order, $evaluations, $stochastic, $source),)*];

        impl SamplerSpec {
            /// The sampler of that name, with its default settings.
            pub fn by_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant $((default!($settings, $value)))?),)*
                    _ => None,
                }
            }

            /// The sampler itself.
            pub fn build(self) -> Box<dyn Sampler> {
                match self {
                    $(
                        Self::$variant $((bound!(set, $settings)))? =>
                            Box::new(chosen!($value $(, set of $settings)?)),
                    )*
                }
            }
        }
    };
}

macro_rules! default {
    ($settings:ident, $value:expr) => {
        $value
    };
}

macro_rules! bound {
    ($set:ident, $settings:ident) => {
        $set
    };
}

macro_rules! chosen {
    ($value:expr) => {
        $value
    };
    ($value:expr, $set:ident of $settings:ident) => {
        $set
    };
}

// Variant, its value, name, order, evaluations, noise, source.
samplers! {
    Ddpm(Ddpm) = Ddpm::default(), "ddpm", 1, 1, true, "Ho et al. 2020, arXiv:2006.11239";
    Ddim = Accelerated::ddim(), "ddim", 1, 1, false, "Song et al. 2020, arXiv:2010.02502";
    Accelerated(Accelerated) = Accelerated::default(),
        "accelerated", 1, 1, false, "Permenter & Yuan 2023, arXiv:2306.04848";
    Euler = Euler, "euler", 1, 1, false, "Karras et al. 2022, arXiv:2206.00364";
    FlowEuler = Euler, "flow-euler", 1, 1, false, "Liu et al. 2022, arXiv:2209.03003";
    Heun(Heun) = Heun::default(),
        "heun", 2, 2, false, "Karras et al. 2022, arXiv:2206.00364, Alg. 1";
    FlowHeun = Heun { frame: Frame::Flow },
        "flow-heun", 2, 2, false, "Liu et al. 2022, arXiv:2209.03003";
    EdmStochastic(EdmStochastic) = EdmStochastic::default(),
        "edm-stochastic", 2, 2, true, "Karras et al. 2022, arXiv:2206.00364, Alg. 2";
    Dpm2 = Dpm2, "dpm-2", 2, 2, false, "k-diffusion, sample_dpm_2";
    Midpoint(Midpoint) = Midpoint::default(), "midpoint", 2, 2, false, "Runge 1895";
    Rk4(Rk4) = Rk4::default(), "rk4", 4, 4, false, "Kutta 1901";
    BogackiShampine(BogackiShampine) = BogackiShampine::default(),
        "bogacki-shampine", 3, 3, false, "Bogacki & Shampine 1989";
    DormandPrince(DormandPrince) = DormandPrince::default(),
        "dormand-prince", 5, 6, false, "Dormand & Prince 1980";
    DpmSolver(DpmSolver) = DpmSolver::default(),
        "dpm-solver", 3, 3, false, "Lu et al. 2022, arXiv:2206.00927, Alg. 2";
    DpmPp2S = DpmPp2S, "dpmpp-2s", 2, 2, false, "Lu et al. 2022, arXiv:2211.01095, Alg. 1";
    DpmPp2M(DpmPp2M) = DpmPp2M::default(),
        "dpmpp-2m", 2, 1, false, "Lu et al. 2022, arXiv:2211.01095, Alg. 2";
    DpmPp3M(DpmPp3M) = DpmPp3M::default(),
        "dpmpp-3m", 3, 1, false, "Lu et al. 2022, arXiv:2211.01095";
    ExponentialAb(ExponentialAb) = ExponentialAb::default(),
        "exponential-ab", 4, 1, false, "Hochbruck & Ostermann 2010";
    UniPc(UniPc) = UniPc::default(),
        "unipc", 3, 1, false, "Zhao et al. 2023, arXiv:2302.04867, Alg. 1";
    DpmSolverV3(DpmSolverV3Normal) = DpmSolverV3Normal::default(),
        "dpm-solver-v3", 3, 1, false, "Zheng et al. 2023, arXiv:2310.13268";
    Deis(Deis) = Deis::default(), "deis", 3, 1, false, "Zhang & Chen 2022, arXiv:2204.13902";
    Lms(Lms) = Lms::default(), "lms", 4, 1, false, "k-diffusion, sample_lms";
    Pndm(Pndm) = Pndm::default(), "pndm", 2, 1, false, "Liu et al. 2022, arXiv:2202.09778";
    Plms = Pndm { start: Start::Heun },
        "plms", 2, 1, false, "Rombach et al. 2021, arXiv:2112.10752";
    Ipndm(Ipndm) = Ipndm::default(),
        "ipndm", 2, 1, false, "Zhang & Chen 2022, arXiv:2204.13902, H.2";
    EulerAncestral(EulerAncestral) = EulerAncestral::default(),
        "euler-ancestral", 1, 1, true, "k-diffusion; Ho et al. 2020, arXiv:2006.11239";
    Dpm2Ancestral(Dpm2Ancestral) = Dpm2Ancestral::default(),
        "dpm-2-ancestral", 2, 2, true, "k-diffusion, sample_dpm_2_ancestral";
    DpmPp2SAncestral(DpmPp2SAncestral) = DpmPp2SAncestral::default(),
        "dpmpp-2s-ancestral", 2, 2, true, "Lu et al. 2022, arXiv:2211.01095; k-diffusion";
    DpmPpSde(DpmPpSde) = DpmPpSde::default(),
        "dpmpp-sde", 2, 2, true, "Lu et al. 2022, arXiv:2211.01095; k-diffusion";
    DpmPp2MSde(DpmPp2MSde) = DpmPp2MSde::default(),
        "dpmpp-2m-sde", 2, 1, true, "Lu et al. 2022, arXiv:2211.01095; k-diffusion";
    DpmPp3MSde(DpmPp3MSde) = DpmPp3MSde::default(),
        "dpmpp-3m-sde", 3, 1, true, "k-diffusion, sample_dpmpp_3m_sde";
    SaSolver(SaSolver) = SaSolver::default(),
        "sa-solver", 2, 1, true, "Xue et al. 2023, arXiv:2309.05019";
    PredictorCorrector(PredictorCorrector) = PredictorCorrector::default(),
        "predictor-corrector", 1, 2, true, "Song et al. 2020, arXiv:2011.13456";
    Restart(Restart) = Restart::default(),
        "restart", 2, 2, true, "Xu et al. 2023, arXiv:2306.14878, Alg. 1";
    EulerMaruyama(NamedSde) = NamedSde::default(),
        "euler-maruyama", 1, 1, true, "Song et al. 2020, arXiv:2011.13456";
    AnnealedLangevin(AnnealedLangevin) = AnnealedLangevin::default(),
        "annealed-langevin", 1, 100, true, "Song & Ermon 2019, arXiv:1907.05600, Alg. 1";
    UnderdampedLangevin(UnderdampedLangevin) = UnderdampedLangevin::default(),
        "underdamped-langevin", 2, 10, true, "Leimkuhler & Matthews 2013 (BAOAB)";
    Cld(Cld) = Cld::default(), "cld", 1, 1, true, "Dockhorn et al. 2021, arXiv:2112.07068";
    Consistency(Consistency) = Consistency::default(),
        "consistency", 1, 1, true, "Song et al. 2023, arXiv:2303.01469, Alg. 1";
    Paradigms(Paradigms) = Paradigms::default(),
        "paradigms", 1, 1, false, "Shih et al. 2023, arXiv:2305.16317, Alg. 1";
}

impl SamplerSpec {
    /// Every sampler there is.
    pub fn all() -> &'static [Info] {
        ALL
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
