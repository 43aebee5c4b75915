//! The sampler that a scheduler stands for.

use crate::options::Options;
use crate::{Error, Result};
use tweedie_samplers::{
    Consistency, Coordinate, Deis, DpmPp2M, DpmPp2MSde, DpmPp3M, SamplerSpec, SecondOrder,
    SolverType, UniPc,
};

/// The sampler that a scheduler's class and settings stand for.
pub(super) fn of(o: &mut Options, class: &str) -> Result<SamplerSpec> {
    let order = o.take::<usize>("solver_order")?;
    let lower_order_final = o.or("lower_order_final", true)?;
    let algorithm: Option<String> = o.take("algorithm_type")?;
    let solver: Option<String> = o.take("solver_type")?;
    let skip_prk_steps = o.or("skip_prk_steps", false)?;
    let named = |name: &str| {
        SamplerSpec::by_name(name).ok_or_else(|| Error::invalid("the sampler", name, "a known one"))
    };
    let name = match class {
        "DDIMScheduler" => "ddim",
        "DDPMScheduler" => "ddpm",
        "PNDMScheduler" if skip_prk_steps => "plms",
        "PNDMScheduler" => "pndm",
        "EulerDiscreteScheduler" => "euler",
        "EulerAncestralDiscreteScheduler" => "euler-ancestral",
        "HeunDiscreteScheduler" => "heun",
        "LMSDiscreteScheduler" => "lms",
        "KDPM2DiscreteScheduler" => "dpm-2",
        "KDPM2AncestralDiscreteScheduler" => "dpm-2-ancestral",
        "DPMSolverSinglestepScheduler" => "dpmpp-2s",
        "DPMSolverSDEScheduler" => "dpmpp-sde",
        "UniPCMultistepScheduler" => {
            return Ok(SamplerSpec::UniPc(UniPc {
                order: order.unwrap_or(2),
                lower_order_final,
                ..UniPc::default()
            }));
        }
        "DEISMultistepScheduler" => {
            let (order, coordinate) = (order.unwrap_or(2), Coordinate::LogRho);
            return Ok(SamplerSpec::Deis(Deis { order, coordinate, lower_order_final }));
        }
        "DPMSolverMultistepScheduler" => {
            return multistep(o, order, lower_order_final, algorithm.as_deref(), solver.as_deref());
        }
        // It adds all of the noise again (Luo et al., arXiv:2310.04378, Algorithm 3).
        "LCMScheduler" => {
            return Ok(SamplerSpec::Consistency(Consistency {
                sigma_min: 0.0,
                ..Consistency::default()
            }));
        }
        other => {
            return Err(Error::invalid("the scheduler's class", other, "one that has a sampler"));
        }
    };
    named(name)
}

fn multistep(
    o: &Options,
    order: Option<usize>,
    lower_order_final: bool,
    algorithm: Option<&str>,
    solver: Option<&str>,
) -> Result<SamplerSpec> {
    let exact = solver == Some("heun");
    match (algorithm.unwrap_or("dpmsolver++"), order.unwrap_or(2)) {
        ("dpmsolver++", 2) => {
            let form = if exact { SecondOrder::Exact } else { SecondOrder::Midpoint };
            Ok(SamplerSpec::DpmPp2M(DpmPp2M { form, lower_order_final }))
        }
        ("dpmsolver++", 3) => {
            Ok(SamplerSpec::DpmPp3M(DpmPp3M { lower_order_final, ..DpmPp3M::default() }))
        }
        ("sde-dpmsolver++", 2) => {
            let solver_type = if exact { SolverType::Heun } else { SolverType::Midpoint };
            Ok(SamplerSpec::DpmPp2MSde(DpmPp2MSde { solver_type, ..DpmPp2MSde::default() }))
        }
        (algorithm, order) => {
            let found = format!("{algorithm} of order {order}");
            Err(o.wrong(
                "algorithm_type",
                &found,
                &"dpmsolver++ of order 2 or 3, or sde-dpmsolver++ of order 2",
            ))
        }
    }
}
