//! Equal steps of a path's time.

use super::Grid;
use crate::error::{Result, count};
use crate::numeric::linspace;
use crate::path::Path;
use crate::schedule::check_times;

/// `steps` times in a line from `t_max` to `t_min` on a path, then clean data.
/// With [`VpLinear`](crate::path::VpLinear) and `t_min = 0.001` it is k-diffusion's `get_sigmas_vp`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UniformTime<P> {
    /// The path.
    pub path: P,
    /// The last time before clean data.
    pub t_min: f64,
    /// The first time, at most 1.
    pub t_max: f64,
}

impl<P: Path> UniformTime<P> {
    /// The grid of `steps` steps, at the path's own scale.
    ///
    /// # Errors
    /// Unless `steps ≥ 1` and `0 < t_min < t_max ≤ 1`.
    pub fn grid(&self, steps: usize) -> Result<Grid> {
        count("steps", steps, 1)?;
        check_times(self.t_min, self.t_max)?;
        let levels = linspace(self.t_max, self.t_min, steps).map(|t| self.path.level(t));
        let clean = crate::NoiseLevel { alpha: 1.0, sigma: 0.0 };
        Grid::from_levels(levels.chain([clean]).collect())
    }
}
