//! The linear multistep method.

use crate::{Coordinate, Deis, Sampler, Solver};
use serde::{Deserialize, Serialize};
use tweedie_core::{Grid, Result};

/// k-diffusion's `sample_lms`: Adams–Bashforth for unequal steps in `rho = sigma/alpha`, with the
/// polynomials integrated exactly where the reference uses quadrature. It is rhoAB-DEIS.
/// One evaluation a step. It begins with the lower orders; a step from `alpha = 0` is Euler's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lms {
    /// From 1 to 4.
    pub order: usize,
}

impl Default for Lms {
    fn default() -> Self {
        Lms { order: 4 }
    }
}

impl Sampler for Lms {
    fn solver(&self) -> Result<Solver> {
        Deis { order: self.order, coordinate: Coordinate::Rho, lower_order_final: false }.solver()
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}
