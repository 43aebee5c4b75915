//! Rectified-flow times in a shifted line.

use super::Grid;
use crate::error::{Result, count, positive};
use crate::level::NoiseLevel;
use crate::numeric::linspace;
use crate::schedule::check_times;

/// `steps` times in a line from `t_max` to `t_min`, each then shifted to
/// `shift·t/(1 + (shift − 1)·t)`, and clean data (arXiv:2403.03206, eq. 23; diffusers'
/// flow-match Euler). More than 1 spends more steps at much noise; 1 shifts nothing.
///
/// ```
/// use tweedie_schedules::FlowShift;
///
/// let grid = FlowShift { shift: 3.0, t_min: 0.25, t_max: 1.0 }.grid(2)?;
/// assert_eq!(grid.sigmas(), [1.0, 0.5, 0.0]);
/// # Ok::<(), tweedie_schedules::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlowShift {
    /// The shift; Stable Diffusion 3's is 3.
    pub shift: f64,
    /// The last time before clean data, before the shift.
    pub t_min: f64,
    /// The first time, before the shift, at most 1.
    pub t_max: f64,
}

impl FlowShift {
    /// The grid of `steps` steps of rectified flow.
    ///
    /// # Errors
    /// Unless `steps ≥ 1`, `0 < t_min < t_max ≤ 1` and `shift > 0`.
    pub fn grid(&self, steps: usize) -> Result<Grid> {
        count("steps", steps, 1)?;
        positive("shift", self.shift)?;
        check_times(self.t_min, self.t_max)?;
        let times = linspace(self.t_max, self.t_min, steps).map(|t| shift_time(t, self.shift));
        Grid::from_levels(times.chain([0.0]).map(NoiseLevel::flow).collect())
    }
}

/// `shift·t/(1 + (shift − 1)·t)`, which keeps 0 and 1.
#[must_use]
pub fn shift_time(t: f64, shift: f64) -> f64 {
    shift * t / (1.0 + (shift - 1.0) * t)
}

/// The shift that FLUX-like models take for an image of `tokens` tokens:
/// `exp(mu)`, `mu` on the line through (256, 0.5) and (4096, 1.15).
#[must_use]
pub fn shift_for_tokens(tokens: usize) -> f64 {
    let slope = (1.15 - 0.5) / (4096.0 - 256.0);
    (0.5 + slope * (tokens as f64 - 256.0)).exp()
}
