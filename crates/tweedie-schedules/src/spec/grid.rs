//! Grids by name.

use serde::{Deserialize, Serialize};

use super::{Info, Slot, find, info, set};
use crate::error::{Result, argument};
use crate::grid::{
    self, Ays, Beta, Convention, End, Exponential, FlowShift, Grid, Karras, Leading, Linspace,
    Over, PolyExponential, Trailing, UniformLambda,
};
use crate::level::{NoiseLevel, Scale};
use crate::schedule::Schedule;

/// A rule for sampling grids with its parameters: in TOML `type = "karras"`, `rho = 7`.
///
/// Where `sigma_min`, `sigma_max`, `t_min` or `t_max` is left out, the schedule's own end stands.
/// Sigmas are noise ratios `sigma/alpha`; on a flow schedule they are times, as in diffusers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum GridSpec {
    /// [`Schedule::grid`].
    Own {},
    /// [`Trailing`].
    #[expect(missing_docs, reason = "the fields are those of the rule")]
    Trailing {
        #[serde(default)]
        end: End,
    },
    /// [`Leading`].
    #[expect(missing_docs, reason = "the fields are those of the rule")]
    Leading {
        #[serde(default)]
        offset: usize,
        #[serde(default)]
        convention: Convention,
        #[serde(default = "clean")]
        end: End,
    },
    /// [`Linspace`].
    #[expect(missing_docs, reason = "the fields are those of the rule")]
    Linspace {
        #[serde(default)]
        convention: Convention,
        #[serde(default = "clean")]
        end: End,
    },
    /// [`Karras`].
    #[expect(missing_docs, reason = "the fields are those of the rule")]
    Karras {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sigma_min: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sigma_max: Option<f64>,
        #[serde(default = "seven")]
        rho: f64,
    },
    /// [`Exponential`].
    #[expect(missing_docs, reason = "the fields are those of the rule")]
    Exponential {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sigma_min: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sigma_max: Option<f64>,
    },
    /// [`PolyExponential`].
    #[expect(missing_docs, reason = "the fields are those of the rule")]
    PolyExponential {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sigma_min: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sigma_max: Option<f64>,
        #[serde(default = "one")]
        rho: f64,
    },
    /// [`UniformLambda`] between the noise ratios `sigma_max` and `sigma_min`.
    #[expect(missing_docs, reason = "the fields are those of the rule")]
    UniformLambda {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sigma_min: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sigma_max: Option<f64>,
    },
    /// [`Beta`].
    #[expect(missing_docs, reason = "the fields are those of the rule")]
    Beta {
        #[serde(default = "six_tenths")]
        alpha: f64,
        #[serde(default = "six_tenths")]
        beta: f64,
        #[serde(default)]
        over: Over,
    },
    /// [`Ays`].
    #[expect(missing_docs, reason = "the fields are those of the rule")]
    Ays {
        #[serde(default)]
        model: Ays,
    },
    /// [`FlowShift`].
    #[expect(missing_docs, reason = "the fields are those of the rule")]
    FlowShift {
        #[serde(default = "three")]
        shift: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        t_min: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        t_max: Option<f64>,
    },
}

fn clean() -> End {
    End::Clean
}

fn one() -> f64 {
    1.0
}

fn three() -> f64 {
    3.0
}

fn seven() -> f64 {
    7.0
}

fn six_tenths() -> f64 {
    0.6
}

impl Default for GridSpec {
    /// The schedule's own.
    fn default() -> Self {
        Self::Own {}
    }
}

impl GridSpec {
    /// Every rule, with its defaults.
    #[must_use]
    pub fn all() -> [Self; 11] {
        let (none, end, convention) = (None, End::Clean, Convention::default());
        [
            Self::Own {},
            Self::Trailing { end: End::Least },
            Self::Leading { offset: 0, convention, end },
            Self::Linspace { convention, end },
            Self::Karras { sigma_min: none, sigma_max: none, rho: seven() },
            Self::Exponential { sigma_min: none, sigma_max: none },
            Self::PolyExponential { sigma_min: none, sigma_max: none, rho: one() },
            Self::UniformLambda { sigma_min: none, sigma_max: none },
            Self::Beta { alpha: six_tenths(), beta: six_tenths(), over: Over::default() },
            Self::Ays { model: Ays::default() },
            Self::FlowShift { shift: three(), t_min: none, t_max: none },
        ]
    }

    /// The rule with this name and its defaults.
    ///
    /// # Errors
    /// When there is none; the error lists all names.
    pub fn by_name(name: &str) -> Result<Self> {
        find("grid", &Self::all(), Self::name, name)
    }

    /// Its name, as `type` in a recipe.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.words().0
    }

    /// What it is, in a line, and its parameters as they are set.
    #[must_use]
    pub fn info(&self) -> Info {
        let (name, about) = self.words();
        info(name, about, self.clone().slots())
    }

    /// Sets a parameter, written with `-` or `_`, from text.
    ///
    /// # Errors
    /// When it has no such parameter, or when the text does not fit.
    pub fn set(&mut self, parameter: &str, value: &str) -> Result<()> {
        set(self.name(), self.slots(), parameter, value)
    }

    /// The grid of `steps` steps for models trained on `schedule`, at its scale.
    ///
    /// # Errors
    /// When a parameter is outside its range, or the table too short for so many steps; when
    /// `sigma_max` is left out and the schedule's own is infinite.
    pub fn grid(&self, schedule: &Schedule, steps: usize) -> Result<Grid> {
        let range = |min: Option<f64>, max: Option<f64>| -> (f64, f64) {
            let sigma =
                |l: NoiseLevel| if schedule.scale() == Scale::Flow { l.sigma } else { l.ratio() };
            (
                min.unwrap_or_else(|| sigma(schedule.least())),
                max.unwrap_or_else(|| sigma(schedule.most())),
            )
        };
        let sigmas = match *self {
            Self::Own {} => return schedule.grid(steps),
            Self::Trailing { end } => return Trailing { end }.grid(schedule, steps),
            Self::Leading { offset, convention, end } => {
                return Leading { offset, convention, end }.grid(schedule, steps);
            }
            Self::Linspace { convention, end } => {
                return Linspace { convention, end }.grid(schedule, steps);
            }
            Self::Beta { alpha, beta, over } => {
                return Beta { alpha, beta, over }.grid(schedule, steps);
            }
            Self::Ays { model } => return model.grid(steps)?.on(schedule.scale()),
            Self::UniformLambda { sigma_min, sigma_max } => {
                return uniform_lambda(schedule, sigma_min, sigma_max, steps);
            }
            Self::FlowShift { shift, t_min, t_max } => {
                let t_min = t_min.unwrap_or_else(|| schedule.least().to_flow().sigma);
                let t_max = t_max.unwrap_or_else(|| schedule.most().to_flow().sigma);
                return FlowShift { shift, t_min, t_max }.grid(steps)?.on(schedule.scale());
            }
            Self::Karras { sigma_min, sigma_max, rho } => {
                let (sigma_min, sigma_max) = range(sigma_min, sigma_max);
                Karras { sigma_min, sigma_max, rho }.sigmas(steps)?
            }
            Self::Exponential { sigma_min, sigma_max } => {
                let (sigma_min, sigma_max) = range(sigma_min, sigma_max);
                Exponential { sigma_min, sigma_max }.sigmas(steps)?
            }
            Self::PolyExponential { sigma_min, sigma_max, rho } => {
                let (sigma_min, sigma_max) = range(sigma_min, sigma_max);
                PolyExponential { sigma_min, sigma_max, rho }.sigmas(steps)?
            }
        };
        grid::own_scale(schedule, sigmas)
    }

    /// Name and description.
    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Own {} => ("own", "the schedule's own: trailing, or a line of times for flows"),
            Self::Trailing { .. } => ("trailing", "every n/steps-th level from the noisiest down"),
            Self::Leading { .. } => ("leading", "every n/steps-th level from the cleanest up"),
            Self::Linspace { .. } => ("linspace", "timesteps in a line from the last to the first"),
            Self::Karras { .. } => ("karras", "sigma a power of a line (Karras et al. 2022)"),
            Self::Exponential { .. } => ("exponential", "sigmas in geometric progression"),
            Self::PolyExponential { .. } => ("poly-exponential", "ln sigma a power of a line"),
            Self::UniformLambda { .. } => {
                ("uniform-lambda", "half log-SNR in a line, ending at sigma_min")
            }
            Self::Beta { .. } => ("beta", "quantiles of a beta distribution (Lee et al. 2024)"),
            Self::Ays { .. } => ("ays", "Align Your Steps tables for Stable Diffusion"),
            Self::FlowShift { .. } => ("flow-shift", "flow times in a line, shifted towards noise"),
        }
    }

    fn slots(&mut self) -> Vec<(&'static str, &mut dyn Slot)> {
        match self {
            Self::Own {} => vec![],
            Self::Trailing { end } => vec![("end", end)],
            Self::Leading { offset, convention, end } => {
                vec![("offset", offset), ("convention", convention), ("end", end)]
            }
            Self::Linspace { convention, end } => vec![("convention", convention), ("end", end)],
            Self::Karras { sigma_min, sigma_max, rho }
            | Self::PolyExponential { sigma_min, sigma_max, rho } => {
                vec![("sigma_min", sigma_min), ("sigma_max", sigma_max), ("rho", rho)]
            }
            Self::Exponential { sigma_min, sigma_max }
            | Self::UniformLambda { sigma_min, sigma_max } => {
                vec![("sigma_min", sigma_min), ("sigma_max", sigma_max)]
            }
            Self::Beta { alpha, beta, over } => {
                vec![("alpha", alpha), ("beta", beta), ("over", over)]
            }
            Self::Ays { model } => vec![("model", model)],
            Self::FlowShift { shift, t_min, t_max } => {
                vec![("shift", shift), ("t_min", t_min), ("t_max", t_max)]
            }
        }
    }
}

/// Equal steps of lambda between two noise ratios, by default the schedule's ends.
fn uniform_lambda(
    schedule: &Schedule,
    sigma_min: Option<f64>,
    sigma_max: Option<f64>,
    steps: usize,
) -> Result<Grid> {
    let min = sigma_min.unwrap_or_else(|| schedule.least().ratio());
    let max = sigma_max.unwrap_or_else(|| schedule.most().ratio());
    if !(min > 0.0 && max > min && max.is_finite()) {
        return Err(argument("sigma_max", max, format!("finite and above sigma_min ({min})")));
    }
    let lambdas = UniformLambda { lambda_min: -max.ln(), lambda_max: -min.ln() };
    lambdas.grid(steps)?.on(schedule.scale())
}
