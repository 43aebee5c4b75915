//! Schedules by name.

use serde::{Deserialize, Serialize};

use super::{Info, Slot, find, info, set};
use crate::error::Result;
use crate::schedule::{Cosine, Ddpm, Flow, Ldm, LogLinear, LogNormalFlow, Schedule, Sigmoid};

/// A schedule with its parameters: in TOML `type = "log-linear"`, `n = 200`.
/// What is left out is smalldiffusion's default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ScheduleSpec {
    /// Sigmas in geometric progression.
    LogLinear(LogLinear),
    /// Betas in a line.
    Ddpm(Ddpm),
    /// Square roots of betas in a line.
    Ldm(Ldm),
    /// Betas along a sigmoid.
    Sigmoid(Sigmoid),
    /// Nichol and Dhariwal's cosine.
    Cosine(Cosine),
    /// Rectified flow, times drawn uniformly.
    Flow(Flow),
    /// Rectified flow, times drawn from a logit-normal distribution.
    LogNormalFlow(LogNormalFlow),
}

impl ScheduleSpec {
    /// Every schedule, with its defaults.
    #[must_use]
    pub fn all() -> [Self; 7] {
        [
            Self::LogLinear(LogLinear::default()),
            Self::Ddpm(Ddpm::default()),
            Self::Ldm(Ldm::default()),
            Self::Sigmoid(Sigmoid::default()),
            Self::Cosine(Cosine::default()),
            Self::Flow(Flow::default()),
            Self::LogNormalFlow(LogNormalFlow::default()),
        ]
    }

    /// The schedule with this name and its defaults.
    ///
    /// # Errors
    /// When there is none; the error lists all names.
    pub fn by_name(name: &str) -> Result<Self> {
        find("schedule", &Self::all(), Self::name, name)
    }

    /// Its name, as `type` in a recipe.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::LogLinear(_) => "log-linear",
            Self::Ddpm(_) => "ddpm",
            Self::Ldm(_) => "ldm",
            Self::Sigmoid(_) => "sigmoid",
            Self::Cosine(_) => "cosine",
            Self::Flow(_) => "flow",
            Self::LogNormalFlow(_) => "log-normal-flow",
        }
    }

    /// What it is, in a line, and its parameters as they are set.
    #[must_use]
    pub fn info(&self) -> Info {
        let about = match self {
            Self::LogLinear(_) => "sigmas in geometric progression; fits many models",
            Self::Ddpm(_) => "betas in a line, as in DDPM and most models in pixels",
            Self::Ldm(_) => "square roots of betas in a line, as in Stable Diffusion",
            Self::Sigmoid(_) => "betas along a sigmoid, as in GeoDiff",
            Self::Cosine(_) => "alpha_bar along a squared cosine (Nichol and Dhariwal)",
            Self::Flow(_) => "rectified flow, times drawn uniformly",
            Self::LogNormalFlow(_) => {
                "rectified flow, times drawn from a logit-normal distribution"
            }
        };
        info(self.name(), about, self.clone().slots())
    }

    /// Sets a parameter, written with `-` or `_`, from text.
    ///
    /// # Errors
    /// When it has no such parameter, or when the text is no number.
    pub fn set(&mut self, parameter: &str, value: &str) -> Result<()> {
        set(self.name(), self.slots(), parameter, value)
    }

    /// The table.
    ///
    /// # Errors
    /// When a parameter is outside its range.
    pub fn build(&self) -> Result<Schedule> {
        match self {
            Self::LogLinear(s) => s.build(),
            Self::Ddpm(s) => s.build(),
            Self::Ldm(s) => s.build(),
            Self::Sigmoid(s) => s.build(),
            Self::Cosine(s) => s.build(),
            Self::Flow(s) => s.build(),
            Self::LogNormalFlow(s) => s.build(),
        }
    }

    fn slots(&mut self) -> Vec<(&'static str, &mut dyn Slot)> {
        match self {
            Self::LogLinear(LogLinear { n, sigma_min, sigma_max }) => {
                vec![("n", n), ("sigma_min", sigma_min), ("sigma_max", sigma_max)]
            }
            Self::Ddpm(Ddpm { n, beta_start, beta_end })
            | Self::Ldm(Ldm { n, beta_start, beta_end })
            | Self::Sigmoid(Sigmoid { n, beta_start, beta_end }) => {
                vec![("n", n), ("beta_start", beta_start), ("beta_end", beta_end)]
            }
            Self::Cosine(Cosine { n, max_beta }) => vec![("n", n), ("max_beta", max_beta)],
            Self::Flow(Flow { n, t_min, t_max })
            | Self::LogNormalFlow(LogNormalFlow { n, t_min, t_max }) => {
                vec![("n", n), ("t_min", t_min), ("t_max", t_max)]
            }
        }
    }
}

impl Default for ScheduleSpec {
    /// [`LogLinear`] with its defaults.
    fn default() -> Self {
        Self::LogLinear(LogLinear::default())
    }
}
