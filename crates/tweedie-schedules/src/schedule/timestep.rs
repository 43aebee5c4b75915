//! From a level to the training timestep that a network was told, and back.

use super::Schedule;
use crate::level::NoiseLevel;

impl Schedule {
    /// The fractional index of `level` in this table, from 0 (least noise) to `len() − 1`:
    /// linear in `lambda` between neighbours, the nearest end outside
    /// (k-diffusion's `sigma_to_t`).
    ///
    /// For networks that are told a timestep in place of a noise level.
    ///
    /// ```
    /// use tweedie_schedules::{NoiseLevel, Schedule};
    ///
    /// let schedule = Schedule::from_sigmas(&[0.1, 1.0, 10.0])?;
    /// assert_eq!(schedule.timestep(NoiseLevel::ve(1.0)), 1.0);
    /// assert!((schedule.timestep(NoiseLevel::ve(10_f64.sqrt())) - 1.5).abs() < 1e-12);
    /// assert_eq!(schedule.timestep(NoiseLevel::ve(0.0)), 0.0);
    /// # Ok::<(), tweedie_schedules::Error>(())
    /// ```
    #[must_use]
    pub fn timestep(&self, level: NoiseLevel) -> f64 {
        let (ratio, last) = (level.ratio(), self.len() - 1);
        // The first level with more noise; the one before is at most as noisy.
        let high = self.levels.partition_point(|l| l.ratio() <= ratio);
        if high == 0 {
            return 0.0;
        }
        if high > last {
            return last as f64;
        }
        let [low, up] = [high - 1, high].map(|i| self.levels[i].lambda());
        if up == f64::NEG_INFINITY {
            return (high - 1) as f64;
        }
        (high - 1) as f64 + ((low - level.lambda()) / (low - up)).clamp(0.0, 1.0)
    }

    /// The index of the level of this table that is nearest in `lambda`.
    #[must_use]
    pub fn nearest_timestep(&self, level: NoiseLevel) -> usize {
        self.timestep(level).round() as usize
    }

    /// The level at a fractional index, linear in `lambda` between neighbours,
    /// the nearest end outside (k-diffusion's `t_to_sigma`): the inverse of [`Self::timestep`].
    #[must_use]
    pub fn level_at(&self, timestep: f64) -> NoiseLevel {
        self.between(timestep, |low, high, w| {
            (-((1.0 - w) * low.lambda() + w * high.lambda())).exp()
        })
    }

    /// The level at a fractional index, linear in `sigma/alpha` between neighbours
    /// (diffusers' `interpolation_type="linear"`).
    pub(crate) fn level_at_linear(&self, timestep: f64) -> NoiseLevel {
        self.between(timestep, |low, high, w| low.ratio() + w * (high.ratio() - low.ratio()))
    }

    fn between(
        &self,
        timestep: f64,
        ratio: impl Fn(NoiseLevel, NoiseLevel, f64) -> f64,
    ) -> NoiseLevel {
        let place = timestep.clamp(0.0, (self.len() - 1) as f64);
        // A place that is not a number becomes the first.
        let (low, w) = (place as usize, place.fract());
        if w > 0.0 {
            return self.scale.level(ratio(self.levels[low], self.levels[low + 1], w));
        }
        self.levels[low]
    }
}

#[cfg(test)]
mod tests {
    use crate::{NoiseLevel, Schedule};

    #[test]
    fn halfway_between_neighbours() {
        let schedule = Schedule::from_sigmas(&[1.0, 4.0]).unwrap();
        assert!((schedule.level_at(0.5).sigma - 2.0).abs() < 1e-12);
        assert!((schedule.level_at_linear(0.5).sigma - 2.5).abs() < 1e-12);
        assert_eq!(schedule.level_at(f64::NAN), NoiseLevel::ve(1.0));
        assert_eq!(schedule.level_at(7.0), NoiseLevel::ve(4.0));
        assert_eq!(schedule.nearest_timestep(NoiseLevel::ve(2.1)), 1);
    }
}
