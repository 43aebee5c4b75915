//! A straight line from data to noise.

use super::Path;
use crate::numeric::sigmoid;

/// `alpha = 1 − t`, `sigma = t` (arXiv:2209.03003, arXiv:2210.02747).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RectifiedFlow;

impl Path for RectifiedFlow {
    fn alpha(&self, t: f64) -> f64 {
        1.0 - t
    }

    fn sigma(&self, t: f64) -> f64 {
        t
    }

    fn d_alpha(&self, _: f64) -> f64 {
        -1.0
    }

    fn d_sigma(&self, _: f64) -> f64 {
        1.0
    }

    fn t_of_lambda(&self, lambda: f64) -> f64 {
        sigmoid(-lambda)
    }
}
