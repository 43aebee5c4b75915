//! Exponential Adams–Bashforth methods.

use crate::multistep::{check_order, past_used, x0_step, x0_weights};
use crate::{Sampler, Solver, history::History};
use serde::{Deserialize, Serialize};
use tweedie_core::{Grid, Result};

/// Exponential Adams–Bashforth (Hochbruck & Ostermann 2010, section 2.5) on the data estimate as a
/// function of lambda: the exact integral of the polynomial through the last `order` estimates in
/// eq. 8 of DPM-Solver++ (arXiv:2211.01095).
/// Order 1 is Euler's method, 2 and 3 are DPM-Solver++ (2M, exact form) and (3M). One evaluation a
/// step. It begins with the lower orders; a step to no noise is Euler's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExponentialAb {
    /// From 1 to 4.
    pub order: usize,
}

impl Default for ExponentialAb {
    fn default() -> Self {
        ExponentialAb { order: 4 }
    }
}

impl Sampler for ExponentialAb {
    fn solver(&self) -> Result<Solver> {
        check_order(self.order, 4)?;
        let order = self.order;
        let mut past = History::new(order - 1);
        Ok(Box::new(move |run| {
            let x0 = run.denoise()?;
            let used = past_used(run, order, past.len(), false);
            let levels = past.levels().take(used).take_while(|level| level.alpha > 0.0);
            let weights = x0_weights(run.level(), run.next_level(), levels);
            x0_step(run, &x0, &past.weighted(&weights))?;
            past.push(run.level(), &x0);
            Ok(x0)
        }))
    }

    fn evaluations(&self, grid: &Grid) -> usize {
        grid.steps()
    }
}
