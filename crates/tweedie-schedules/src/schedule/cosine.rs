//! Nichol and Dhariwal's table.

use std::f64::consts::FRAC_PI_2;

use serde::{Deserialize, Serialize};

use super::{Schedule, betas};
use crate::error::{Result, count, ensure};

/// `alpha_bar(t) = cos²(π/2 (t + 0.008)/1.008)`, with betas of at most `max_beta`:
/// Nichol and Dhariwal 2021 (arXiv:2102.09672, eq. 17).
/// diffusers calls it `squaredcos_cap_v2`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    /// Number of levels.
    pub n: usize,
    /// No beta is larger; keeps some signal at the last level.
    pub max_beta: f64,
}

impl Default for Cosine {
    fn default() -> Self {
        Self { n: 1000, max_beta: 0.999 }
    }
}

impl Cosine {
    /// The table.
    ///
    /// # Errors
    /// Unless `n ≥ 2` and `0 < max_beta < 1`.
    pub fn build(&self) -> Result<Schedule> {
        let n = count("n", self.n, 2)?;
        let max = self.max_beta;
        ensure(max > 0.0 && max < 1.0, "max_beta", max, "a number between 0 and 1")?;
        let alpha_bar =
            |i: usize| ((i as f64 / n as f64 + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
        betas::table((0..n).map(|i| (1.0 - alpha_bar(i + 1) / alpha_bar(i)).min(max) as f32))
    }
}
