//! Tables changed as a whole: terminal SNR, time shift, scale.

use super::{Schedule, Way};
use crate::error::{Result, argument, ensure, positive};
use crate::level::{NoiseLevel, Scale};

impl Schedule {
    /// The table whose last level has `alpha = terminal_alpha` and whose first is as before,
    /// variance preserving: `alpha` is shifted and scaled (arXiv:2305.08891, Algorithm 1).
    ///
    /// 0 is zero terminal SNR: the last level is pure noise, as in diffusers' DDIM.
    /// `2⁻¹²` gives the last sigma of 4095.99… that its Euler has.
    ///
    /// ```
    /// use tweedie_schedules::Schedule;
    ///
    /// let schedule = Schedule::ldm(1000, 0.00085, 0.012)?.with_terminal_alpha(0.0)?;
    /// assert_eq!(schedule.levels()[999].alpha, 0.0);
    /// # Ok::<(), tweedie_schedules::Error>(())
    /// ```
    ///
    /// # Errors
    /// Unless `0 ≤ terminal_alpha < alpha` of the first level.
    pub fn with_terminal_alpha(&self, terminal_alpha: f64) -> Result<Self> {
        let vp: Vec<_> = self.levels.iter().map(|level| level.to_vp()).collect();
        let (first, last) = (vp[0], vp[vp.len() - 1]);
        let expected = format!("from 0 to less than the first level's alpha ({})", first.alpha);
        let ok = (0.0..first.alpha).contains(&terminal_alpha);
        ensure(ok, "terminal_alpha", terminal_alpha, &expected)?;
        if last.alpha >= first.alpha {
            return Err(argument("schedule", "flat", "a last level noisier than the first"));
        }
        let scale = (first.alpha - terminal_alpha) / (first.alpha - last.alpha);
        let rescale = |level: &NoiseLevel| {
            let alpha = terminal_alpha + (level.alpha - last.alpha) * scale;
            NoiseLevel { alpha, sigma: (1.0 - alpha * alpha).sqrt() }
        };
        let mut levels: Vec<_> = vp.iter().map(rescale).collect();
        levels[0] = first;
        let mut schedule = Self::from_levels(Scale::Vp, levels)?;
        schedule.logit_normal = self.logit_normal;
        Ok(schedule)
    }

    /// Every level with `shift` times the noise ratio `sigma/alpha`; in rectified-flow time that
    /// is `t ↦ shift·t/(1 + (shift − 1)·t)` (arXiv:2403.03206, eq. 23).
    ///
    /// The sampling grids of a flow schedule are shifted with it.
    ///
    /// # Errors
    /// Unless `shift` is finite and above 0.
    pub fn shifted(&self, shift: f64) -> Result<Self> {
        positive("shift", shift)?;
        let levels = self.levels.iter().map(|l| self.scale.level(shift * l.ratio())).collect();
        let way = match self.way {
            Way::Line { t_min, t_max, shift: own } => {
                Way::Line { t_min, t_max, shift: own * shift }
            }
            Way::Table => Way::Table,
        };
        Ok(Self { way, logit_normal: self.logit_normal, ..Self::from_levels(self.scale, levels)? })
    }

    /// The same half log-SNRs at another scale.
    ///
    /// # Errors
    /// When the table holds pure noise, which has no variance-exploding level.
    pub fn on(&self, scale: Scale) -> Result<Self> {
        if scale == self.scale {
            return Ok(self.clone());
        }
        let levels = self.levels.iter().map(|&level| scale.of(level)).collect();
        Ok(Self {
            way: self.way,
            logit_normal: self.logit_normal,
            ..Self::from_levels(scale, levels)?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shift_is_that_of_flow_times() {
        let schedule = Schedule::flow(11, 0.1, 1.0).unwrap();
        let shifted = schedule.shifted(3.0).unwrap();
        for (a, b) in schedule.levels().iter().zip(shifted.levels()) {
            let t = a.sigma;
            assert!((b.sigma - 3.0 * t / (1.0 + 2.0 * t)).abs() < 1e-15);
        }
        assert_eq!(shifted.levels()[10], NoiseLevel::flow(1.0));
        let grid = shifted.grid(1).unwrap();
        assert_eq!(grid.levels(), [NoiseLevel::flow(1.0), NoiseLevel::flow(0.0)]);
    }

    #[test]
    fn first_level_stays_and_last_is_as_asked() {
        let schedule = Schedule::ddpm(100, 0.0001, 0.02).unwrap();
        for alpha in [0.0, 2_f64.powi(-12), 0.5] {
            let new = schedule.with_terminal_alpha(alpha).unwrap();
            assert_eq!(new.levels()[0], schedule.levels()[0].to_vp());
            assert_eq!(new.levels()[99].alpha, alpha);
        }
        assert!(schedule.with_terminal_alpha(0.9999999).is_err());
        assert!(schedule.with_terminal_alpha(f64::NAN).is_err());
        let pure = schedule.with_terminal_alpha(0.0).unwrap();
        assert!(pure.on(Scale::Ve).is_err() && pure.on(Scale::Flow).is_ok());
    }
}
