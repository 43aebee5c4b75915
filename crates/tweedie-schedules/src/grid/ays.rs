//! Align Your Steps: grids optimised for particular models.

use serde::{Deserialize, Serialize};

use super::Grid;
use crate::error::{Result, count};
use crate::level::Scale;
use crate::numeric::linspace;

/// Sigmas found by minimising a bound on the sampling error of one model each, for ten steps
/// (Sabour, Fidler, Kreis, arXiv:2404.14507, Table 3).
///
/// Other numbers of steps interpolate the table linearly in `ln sigma`, as the authors say;
/// the last level is clean in place of the table's last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ays {
    /// Stable Diffusion 1.5.
    #[default]
    Sd1,
    /// Stable Diffusion XL.
    Sdxl,
    /// Stable Video Diffusion.
    Svd,
}

impl Ays {
    /// The authors' eleven sigmas for ten steps.
    #[must_use]
    pub fn sigmas(self) -> [f64; 11] {
        match self {
            Self::Sd1 => {
                [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]
            }
            Self::Sdxl => {
                [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029]
            }
            Self::Svd => {
                [700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002]
            }
        }
    }

    /// The grid of `steps` steps, variance exploding, that ends at clean data.
    ///
    /// # Errors
    /// For no steps.
    pub fn grid(self, steps: usize) -> Result<Grid> {
        count("steps", steps, 1)?;
        let table = self.sigmas();
        let sigma = |place: f64| {
            let i = (place as usize).min(table.len() - 2);
            let w = place - i as f64;
            table[i].powf(1.0 - w) * table[i + 1].powf(w)
        };
        let places = linspace(0.0, (table.len() - 1) as f64, steps + 1);
        Grid::from_ratios(Scale::Ve, places.take(steps).map(sigma).chain([0.0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_steps_are_the_table() {
        for ays in [Ays::Sd1, Ays::Sdxl, Ays::Svd] {
            let grid = ays.grid(10).unwrap();
            for (level, sigma) in grid.iter().zip(&ays.sigmas()[..10]) {
                assert!((level.sigma - sigma).abs() <= 1e-12 * sigma);
            }
            assert!(grid.end().is_clean());
            let twenty = ays.grid(20).unwrap()[1].sigma;
            let mean = (ays.sigmas()[0] * ays.sigmas()[1]).sqrt();
            assert!((twenty - mean).abs() < 1e-12 * mean);
        }
    }
}
