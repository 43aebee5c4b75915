//! Tables from the variances `beta` of the steps of a Markov chain, as DDPM has them:
//! `alpha_bar_i = Π (1 − beta_j)` over `j ≤ i`, and `sigma_i = sqrt(1/alpha_bar_i − 1)`.

use serde::{Deserialize, Serialize};

use super::{Schedule, single};
use crate::error::{MAX_LEVELS, Result, argument, count, ensure};

/// Betas in a line: Ho et al. 2020 (arXiv:2006.11239), and most models in pixels since.
/// diffusers calls it `linear`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ddpm {
    /// Number of levels.
    pub n: usize,
    /// The first beta.
    pub beta_start: f64,
    /// The last beta.
    pub beta_end: f64,
}

/// Square roots of betas in a line: latent diffusion (arXiv:2112.10752) and Stable Diffusion.
/// diffusers calls it `scaled_linear`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ldm {
    /// Number of levels.
    pub n: usize,
    /// The first beta.
    pub beta_start: f64,
    /// The last beta.
    pub beta_end: f64,
}

/// Betas along a sigmoid over [−6, 6]: GeoDiff (arXiv:2203.02923).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sigmoid {
    /// Number of levels.
    pub n: usize,
    /// The beta below the sigmoid.
    pub beta_start: f64,
    /// The beta above the sigmoid.
    pub beta_end: f64,
}

impl Default for Ddpm {
    fn default() -> Self {
        Self { n: 1000, beta_start: 0.0001, beta_end: 0.02 }
    }
}

impl Default for Ldm {
    fn default() -> Self {
        Self { n: 1000, beta_start: 0.00085, beta_end: 0.012 }
    }
}

impl Default for Sigmoid {
    fn default() -> Self {
        Self { n: 1000, beta_start: 0.0001, beta_end: 0.02 }
    }
}

impl Ddpm {
    /// The table.
    ///
    /// # Errors
    /// Unless `n ≥ 2` and `0 < beta_start ≤ beta_end < 1`, and where so many betas leave no signal.
    pub fn build(&self) -> Result<Schedule> {
        check(self.n, self.beta_start, self.beta_end)?;
        table(single::linspace(self.beta_start, self.beta_end, self.n))
    }
}

impl Ldm {
    /// The table.
    ///
    /// # Errors
    /// As [`Ddpm::build`].
    pub fn build(&self) -> Result<Schedule> {
        check(self.n, self.beta_start, self.beta_end)?;
        let roots = single::linspace(self.beta_start.sqrt(), self.beta_end.sqrt(), self.n);
        table(roots.map(|root| root * root))
    }
}

impl Sigmoid {
    /// The table.
    ///
    /// # Errors
    /// As [`Ddpm::build`].
    pub fn build(&self) -> Result<Schedule> {
        check(self.n, self.beta_start, self.beta_end)?;
        let (rise, start) = ((self.beta_end - self.beta_start) as f32, self.beta_start as f32);
        table(single::linspace(-6.0, 6.0, self.n).map(|x| single::sigmoid(x) * rise + start))
    }
}

impl Schedule {
    /// The table of a chain with these betas, each in (0, 1), computed in single precision.
    ///
    /// # Errors
    /// With fewer than two betas, one outside (0, 1), or so many that no signal is left.
    pub fn from_betas(betas: &[f64]) -> Result<Self> {
        if !(2..=MAX_LEVELS).contains(&betas.len()) {
            return Err(argument("betas", betas.len(), format!("from 2 to {MAX_LEVELS} numbers")));
        }
        for &beta in betas {
            ensure(beta > 0.0 && beta < 1.0, "beta", beta, "a number between 0 and 1")?;
        }
        table(betas.iter().map(|&beta| beta as f32))
    }
}

/// The table of betas that were checked.
pub(super) fn table(betas: impl Iterator<Item = f32>) -> Result<Schedule> {
    let sigmas = single::sigmas_from_betas(betas);
    if sigmas.first() == Some(&0.0) {
        return Err(argument("beta_start", "lost in rounding", "at least 6e-8 (single precision)"));
    }
    if let Some(i) = sigmas.iter().position(|sigma| !sigma.is_finite()) {
        let expected = format!("betas so small that signal is left at all levels, not only {i}");
        return Err(argument("beta_end", "too large", expected));
    }
    Schedule::from_sigmas(&sigmas)
}

fn check(n: usize, beta_start: f64, beta_end: f64) -> Result<()> {
    count("n", n, 2)?;
    ensure(beta_start > 0.0 && beta_start < 1.0, "beta_start", beta_start, "between 0 and 1")?;
    let expected = format!("from beta_start ({beta_start}) to less than 1");
    ensure(beta_end >= beta_start && beta_end < 1.0, "beta_end", beta_end, &expected)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_betas_by_hand() {
        // alpha_bar = 1/2, 1/4, 1/8, so sigma² = 1, 3, 7.
        let sigmas = Schedule::from_betas(&[0.5; 3]).unwrap().sigmas();
        for (sigma, square) in sigmas.iter().zip([1.0, 3.0, 7.0]) {
            assert!((sigma * sigma - square).abs() < 1e-6);
        }
        let ddpm = Ddpm { n: 3, beta_start: 0.5, beta_end: 0.5 }.build().unwrap();
        assert_eq!(ddpm.sigmas(), sigmas);
    }

    #[test]
    fn betas_that_leave_no_signal_are_refused() {
        let error = Schedule::from_betas(&[0.9; 1000]).unwrap_err().to_string();
        assert!(error.starts_with("beta_end is too large"), "{error}");
        let error = Schedule::from_betas(&[1e-9; 10]).unwrap_err().to_string();
        assert!(error.starts_with("beta_start is lost in rounding"), "{error}");
    }
}
