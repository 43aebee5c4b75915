//! What `scheduler_config.json` says: the table of noise levels, where a sampler's grid lies in it, and
//! which sampler.

use crate::options::Options;
use crate::{Error, Result};
use serde_json::json;
use std::path::Path;
use tweedie_core::{Grid, NoiseLevel, Prediction};
use tweedie_samplers::{
    Coordinate, Deis, DpmPp2M, DpmPp2MSde, DpmPp3M, SamplerSpec, SecondOrder, SolverType, UniPc,
};
use tweedie_schedules::grid::{Convention, End};
use tweedie_schedules::{
    Cosine, Ddpm, Exponential, Karras, Ldm, Leading, Linspace, Schedule, Trailing,
};

/// The settings of a model's schedule, and of the sampler that was published with it.
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulerConfig {
    /// The table that the model was trained on, variance preserving.
    pub betas: Betas,
    /// Levels of the table.
    pub num_train_timesteps: usize,
    /// Whether the last level is brought to pure noise (arXiv:2305.08891).
    pub rescale_betas_zero_snr: bool,
    /// What the UNet says.
    pub prediction: Prediction,
    /// Where grids lie in the table; each sampler's own place if the file does not say.
    pub spacing: Option<Spacing>,
    /// Added to the timesteps of `leading`.
    pub steps_offset: usize,
    /// Whether samplers that walk the table's timesteps end at no noise, not at its first level.
    pub set_alpha_to_one: Option<bool>,
    /// Whether the others end at no noise, as they do if the file does not say.
    pub final_sigma_zero: Option<bool>,
    /// A rule for levels in place of the spacing.
    pub sigmas: Option<Sigmas>,
    /// The sampler of the file.
    pub sampler: SamplerSpec,
    /// Latent consistency models: what the boundary condition multiplies timesteps by.
    pub timestep_scaling: Option<f64>,
}

/// How a table's betas rise.
#[derive(Clone, Debug, PartialEq)]
pub enum Betas {
    /// In a line.
    Linear(f64, f64),
    /// Their roots in a line.
    ScaledLinear(f64, f64),
    /// Nichol and Dhariwal's cosine.
    Cosine,
    /// As listed.
    Trained(Vec<f64>),
}

/// Where a grid lies in the table (Table 2 of arXiv:2305.08891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// From the first level up.
    Leading,
    /// From the last level down.
    Trailing,
    /// In a line between both.
    Linspace,
}

/// A rule for levels between the table's ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sigmas {
    /// Karras et al., arXiv:2206.00364, with `rho = 7`.
    Karras,
    /// In geometric progression.
    Exponential,
}

const CLASSES: [&str; 15] = [
    "DDIMScheduler",
    "DDPMScheduler",
    "PNDMScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "HeunDiscreteScheduler",
    "LMSDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "DPMSolverSDEScheduler",
    "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
    "LCMScheduler",
];

impl SchedulerConfig {
    /// Reads `scheduler/scheduler_config.json`.
    ///
    /// # Errors
    /// For a class or an option that is not known.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(Options::read(path)?)
    }

    /// From settings that are read already.
    pub(crate) fn parse(mut o: Options) -> Result<Self> {
        let path = &o.path().to_path_buf();
        let class = o.class(&CLASSES)?;
        let class = class.ok_or_else(|| Error::model(path, "_class_name is missing"))?;
        let betas = betas(&mut o)?;
        let prediction: String = o.or("prediction_type", "epsilon".to_owned())?;
        let prediction = match prediction.as_str() {
            "epsilon" => Prediction::Eps,
            "v_prediction" => Prediction::V,
            "sample" => Prediction::X0,
            _ => {
                return Err(o.wrong(
                    "prediction_type",
                    &prediction,
                    &"epsilon, v_prediction or sample",
                ));
            }
        };
        let spacing = match o.take::<String>("timestep_spacing")?.as_deref() {
            None => None,
            Some("leading") => Some(Spacing::Leading),
            Some("trailing") => Some(Spacing::Trailing),
            Some("linspace") => Some(Spacing::Linspace),
            Some(other) => {
                return Err(o.wrong("timestep_spacing", &other, &"leading, trailing or linspace"));
            }
        };
        let final_sigma_zero = match o.take::<String>("final_sigmas_type")?.as_deref() {
            None => None,
            Some("zero") => Some(true),
            Some("sigma_min") => Some(false),
            Some(other) => return Err(o.wrong("final_sigmas_type", &other, &"zero or sigma_min")),
        };
        let sigmas =
            match (o.or("use_karras_sigmas", false)?, o.or("use_exponential_sigmas", false)?) {
                (true, _) => Some(Sigmas::Karras),
                (_, true) => Some(Sigmas::Exponential),
                _ => None,
            };
        let sampler = sampler(&mut o, &class)?;
        let config = SchedulerConfig {
            betas,
            num_train_timesteps: o.or("num_train_timesteps", 1000)?,
            rescale_betas_zero_snr: o.or("rescale_betas_zero_snr", false)?,
            prediction,
            spacing,
            steps_offset: o.or("steps_offset", 0)?,
            set_alpha_to_one: o.take("set_alpha_to_one")?,
            final_sigma_zero,
            sigmas,
            sampler,
            timestep_scaling: match class == "LCMScheduler" {
                true => Some(o.or("timestep_scaling", 10.0)?),
                false => None,
            },
        };
        o.only(&[
            ("clip_sample", json!(false)),
            ("thresholding", json!(false)),
            ("use_beta_sigmas", json!(false)),
            ("use_lu_lambdas", json!(false)),
            ("use_flow_sigmas", json!(false)),
            ("use_dynamic_shifting", json!(false)),
            ("interpolation_type", json!("linear")),
            ("timestep_type", json!("discrete")),
            ("euler_at_final", json!(false)),
            ("predict_x0", json!(true)),
            ("disable_corrector", json!([])),
        ])?;
        o.ignore(&[
            // What goes with settings that are off, or says something about samplers of others.
            "clip_sample_range",
            "dynamic_thresholding_ratio",
            "sample_max_value",
            "flow_shift",
            "time_shift_type",
            "lambda_min_clipped",
            "variance_type",
            "sigma_min",
            "sigma_max",
            "original_inference_steps",
            "solver_p",
            "shift_terminal",
            "skip_prk_steps",
            "solver_order",
            "algorithm_type",
            "solver_type",
            "lower_order_final",
        ]);
        o.finish()?;
        // Wrong numbers are named now, not when a picture is wanted.
        config.schedule().map_err(|e| Error::model(path, e.to_string()))?;
        Ok(config)
    }

    /// The table.
    ///
    /// # Errors
    /// For numbers that make none.
    pub fn schedule(&self) -> Result<Schedule> {
        let n = self.num_train_timesteps;
        let table = match &self.betas {
            Betas::Linear(beta_start, beta_end) => {
                Ddpm { n, beta_start: *beta_start, beta_end: *beta_end }.build()?
            }
            Betas::ScaledLinear(beta_start, beta_end) => {
                Ldm { n, beta_start: *beta_start, beta_end: *beta_end }.build()?
            }
            Betas::Cosine => Cosine { n, ..Cosine::default() }.build()?,
            Betas::Trained(betas) => Schedule::from_betas(betas)?,
        };
        Ok(table.on(tweedie_schedules::Scale::Vp)?)
    }

    /// The table that a kind of sampler walks on: with a last level of pure noise if that is wanted, or
    /// nearly so for samplers in sigma, which have no start there (diffusers' `alpha_bar` of 2⁻²⁴).
    fn table_for(&self, convention: Convention) -> Result<Schedule> {
        let table = self.schedule()?;
        match (self.rescale_betas_zero_snr, convention) {
            (false, _) => Ok(table),
            (true, Convention::Ddim) => Ok(table.with_terminal_alpha(0.0)?),
            (true, _) => Ok(table.with_terminal_alpha(2_f64.powi(-12))?),
        }
    }

    /// Where `sampler` walks in `steps` steps, placed as diffusers would place its own; and whether it
    /// starts from unit noise or from noise of the grid's first level.
    ///
    /// # Errors
    /// For no steps, and more than the table has.
    pub fn grid(&self, sampler: &SamplerSpec, steps: usize) -> Result<(Grid, Start)> {
        let convention = convention(sampler);
        let schedule = self.table_for(convention)?;
        let zero = match convention {
            _ if matches!(sampler, SamplerSpec::Ddpm(_)) => true,
            Convention::Ddim => self.set_alpha_to_one.unwrap_or(!is_pndm(sampler)),
            _ => self.final_sigma_zero.unwrap_or(true),
        };
        let end = if zero { End::Clean } else { End::Least };
        let spacing = self.spacing.unwrap_or(match convention {
            Convention::Ddim => Spacing::Leading,
            _ => Spacing::Linspace,
        });
        let start = match (convention, spacing) {
            (Convention::Euler, Spacing::Linspace | Spacing::Trailing) => Start::Level,
            _ => Start::Unit,
        };
        let offset = self.steps_offset;
        let placed = match spacing {
            Spacing::Leading => Leading { offset, convention, end }.grid(&schedule, steps)?,
            Spacing::Trailing => Trailing { end }.grid(&schedule, steps)?,
            Spacing::Linspace => Linspace { convention, end }.grid(&schedule, steps)?,
        };
        let grid = match (self.sigmas, convention) {
            (None, _) | (_, Convention::Ddim) => placed,
            (Some(rule), Convention::Euler) => {
                between(&schedule, rule, placed.levels()[steps - 1], placed.start(), steps)?
            }
            (Some(rule), Convention::DpmSolver) => {
                between(&schedule, rule, schedule.least(), schedule.most(), steps)?
            }
        };
        Ok((grid, start))
    }

    /// The table whose indices the UNet is told.
    pub(crate) fn timesteps(&self, sampler: &SamplerSpec) -> Result<Schedule> {
        self.table_for(convention(sampler))
    }
}

/// How large the noise is that sampling starts from, at the level of a grid's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Of unit variance, as if there were no signal.
    Unit,
    /// The level's own.
    Level,
}

/// Levels by a rule from `most` down to `least`, and clean data.
fn between(
    schedule: &Schedule,
    rule: Sigmas,
    least: NoiseLevel,
    most: NoiseLevel,
    steps: usize,
) -> Result<Grid> {
    let (sigma_min, sigma_max) = (least.ratio(), most.ratio());
    let sigmas = match rule {
        Sigmas::Karras => Karras { sigma_min, sigma_max, rho: 7.0 }.grid(steps)?,
        Sigmas::Exponential => Exponential { sigma_min, sigma_max }.grid(steps)?,
    };
    Ok(sigmas.on(schedule.scale())?)
}

/// Whose place a sampler's grid has: that of the diffusers scheduler that is the same method.
fn convention(sampler: &SamplerSpec) -> Convention {
    use SamplerSpec as S;
    match sampler {
        S::Ddpm(_) | S::Ddim | S::Accelerated(_) | S::Pndm(_) | S::Plms => Convention::Ddim,
        S::DpmSolver(_)
        | S::DpmPp2S
        | S::DpmPp2M(_)
        | S::DpmPp3M(_)
        | S::DpmPp2MSde(_)
        | S::DpmPp3MSde(_)
        | S::UniPc(_)
        | S::Deis(_)
        | S::SaSolver(_)
        | S::ExponentialAb(_) => Convention::DpmSolver,
        _ => Convention::Euler,
    }
}

fn is_pndm(sampler: &SamplerSpec) -> bool {
    matches!(sampler, SamplerSpec::Pndm(_) | SamplerSpec::Plms)
}

fn betas(o: &mut Options) -> Result<Betas> {
    let trained: Option<Vec<f64>> = o.take("trained_betas")?;
    let (start, end) = (o.or("beta_start", 0.0001)?, o.or("beta_end", 0.02)?);
    let kind: String = o.or("beta_schedule", "linear".to_owned())?;
    if let Some(trained) = trained {
        return Ok(Betas::Trained(trained));
    }
    match kind.as_str() {
        "linear" => Ok(Betas::Linear(start, end)),
        "scaled_linear" => Ok(Betas::ScaledLinear(start, end)),
        "squaredcos_cap_v2" => Ok(Betas::Cosine),
        _ => Err(o.wrong("beta_schedule", &kind, &"linear, scaled_linear or squaredcos_cap_v2")),
    }
}

/// The sampler that a scheduler's class and settings stand for.
fn sampler(o: &mut Options, class: &str) -> Result<SamplerSpec> {
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
        _ => "euler-ancestral",
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
