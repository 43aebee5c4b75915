//! What `scheduler_config.json` says: the table of noise levels, where a sampler's grid lies in it, and
//! which sampler.

mod place;
mod sampler;

pub use place::Start;
pub(crate) use place::distilled;

use crate::options::Options;
use crate::{Error, Result};
use serde_json::json;
use std::path::Path;
use tweedie_core::Prediction;
use tweedie_samplers::SamplerSpec;
use tweedie_schedules::{Cosine, Ddpm, Ldm, Schedule};

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
    /// Latent consistency models: the timesteps that they were distilled on.
    pub original_inference_steps: usize,
    /// Latent consistency models: what the boundary condition multiplies timesteps by.
    pub timestep_scaling: f64,
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
        let sampler = sampler::of(&mut o, &class)?;
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
            original_inference_steps: o.or("original_inference_steps", 50)?,
            timestep_scaling: o.or("timestep_scaling", 10.0)?,
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
        config.check(&class).map_err(|e| Error::model(path, e.to_string()))?;
        Ok(config)
    }

    fn check(&self, class: &str) -> Result<()> {
        let schedule = self.schedule()?;
        if class == "LCMScheduler" {
            distilled(&schedule, self.original_inference_steps, 1, 1.0)?;
        }
        match self.timestep_scaling.is_finite() && self.timestep_scaling > 0.0 {
            true => Ok(()),
            false => {
                Err(Error::invalid("timestep_scaling", self.timestep_scaling, "a positive number"))
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lcm(key: &str, value: serde_json::Value) -> Result<SchedulerConfig, String> {
        let mut settings = json!({
            "_class_name": "LCMScheduler", "beta_schedule": "scaled_linear",
            "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": false,
        });
        settings[key] = value;
        let options = Options::of(Path::new("scheduler_config.json"), settings).unwrap();
        SchedulerConfig::parse(options).map_err(|e| e.to_string())
    }

    #[test]
    fn a_latent_consistency_models_odd_numbers_are_named() {
        let config = lcm("original_inference_steps", json!(null)).unwrap();
        assert_eq!((config.original_inference_steps, config.timestep_scaling), (50, 10.0));
        for (key, value, said) in [
            ("original_inference_steps", json!(0), "is 0, expected 1 to 1000"),
            ("original_inference_steps", json!(1001), "is 1001, expected 1 to 1000"),
            ("original_inference_steps", json!(-4), "is -4"),
            ("original_inference_steps", json!(2.5), "is 2.5"),
            ("timestep_scaling", json!(0.0), "is 0, expected a positive number"),
            ("timestep_scaling", json!(-10.0), "is -10"),
            ("timestep_scaling", json!("ten"), "is \"ten\""),
        ] {
            let error = lcm(key, value).unwrap_err();
            assert!(error.starts_with("scheduler_config.json: "), "{error}");
            assert!(error.contains(&format!("{key} {said}")), "{error}");
        }
        let few = lcm("original_inference_steps", json!(2)).unwrap();
        assert!(few.grid(&few.sampler, 3).unwrap_err().to_string().contains("steps is 3"));
    }
}
