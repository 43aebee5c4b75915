//! Coordinates in which the probability-flow ODE is solved.

use serde::{Deserialize, Serialize};
use tweedie_core::NoiseLevel;

/// A way to write the state and the time of the same trajectory: `y = x·scale`, `s = sigma·scale`.
///
/// In both frames the ODE reads `dy/ds = (y − x0) / s`. First-order steps are the same in either;
/// solvers of higher order differ in their error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    /// `y = x/alpha = x0 + s·eps`: EDM's (arXiv:2206.00364). Has no start at `alpha = 0`.
    #[default]
    Ve,
    /// `y = x/(alpha + sigma) = (1 − s)·x0 + s·eps`: the straight path of flow matching.
    Flow,
}

impl Frame {
    /// The factor from the state `x` at `level` to `y`.
    pub fn scale(self, level: NoiseLevel) -> f64 {
        match self {
            Frame::Ve => 1.0 / level.alpha,
            Frame::Flow => 1.0 / (level.alpha + level.sigma),
        }
    }

    /// The time `s` of `level`.
    pub fn time(self, level: NoiseLevel) -> f64 {
        level.sigma * self.scale(level)
    }
}
