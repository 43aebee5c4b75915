//! Distributions of noise levels to train on.
//!
//! Each is a function of a uniform number, its inverse cumulative distribution function, so that
//! any generator may feed it, stratified ones too.
//!
//! A [`Schedule`] is one itself: the one that smalldiffusion trains it with.
//! ```
//! use tweedie_schedules::{LevelSampler, Schedule};
//!
//! let schedule = Schedule::log_linear(200, 0.01, 10.0)?;
//! assert_eq!(schedule.level(0.5), schedule.levels()[100]);
//! # Ok::<(), tweedie_schedules::Error>(())
//! ```

mod importance;
mod log_normal;
mod logit_normal;
mod mode;

pub use importance::Importance;
pub use log_normal::LogNormal;
pub use logit_normal::LogitNormal;
pub use mode::Mode;

use crate::level::NoiseLevel;
use crate::numeric::inside;
use crate::schedule::Schedule;

/// A distribution of noise levels, by its inverse cumulative distribution function.
pub trait LevelSampler {
    /// The level that a fraction `u ∈ (0, 1)` of the draws has less noise than.
    /// A number outside is moved to the nearest inside.
    fn level(&self, u: f64) -> NoiseLevel;
}

impl<S: LevelSampler + ?Sized> LevelSampler for &S {
    fn level(&self, u: f64) -> NoiseLevel {
        (**self).level(u)
    }
}

impl<S: LevelSampler + ?Sized> LevelSampler for Box<S> {
    fn level(&self, u: f64) -> NoiseLevel {
        (**self).level(u)
    }
}

/// Every index of the table equally often; of
/// [`LogNormalFlow`](crate::LogNormalFlow) its clamped logit-normal times.
impl LevelSampler for Schedule {
    fn level(&self, u: f64) -> NoiseLevel {
        let Some((t_min, t_max, shift)) = self.logit_normal_times() else {
            return UniformIndex(self).level(u);
        };
        let t = LogitNormal::default().time(u).clamp(t_min, t_max);
        self.scale().of(NoiseLevel::flow(crate::grid::shift_time(t, shift)))
    }
}

/// Every level of a table equally often.
#[derive(Debug, Clone, PartialEq)]
pub struct UniformIndex<S>(
    /// The table: a [`Schedule`], or a reference to one.
    pub S,
);

impl<S: std::borrow::Borrow<Schedule>> LevelSampler for UniformIndex<S> {
    fn level(&self, u: f64) -> NoiseLevel {
        let levels = self.0.borrow().levels();
        levels[((inside(u) * levels.len() as f64) as usize).min(levels.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_equally_often() {
        let schedule = Schedule::from_sigmas(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        let mut seen = [0; 4];
        for i in 0..400 {
            seen[UniformIndex(&schedule).level((f64::from(i) + 0.5) / 400.0).sigma as usize - 1] +=
                1;
        }
        assert_eq!(seen, [100; 4]);
        for u in [f64::NAN, -1.0, 0.0] {
            assert_eq!(schedule.level(u), schedule.least());
        }
        assert_eq!(schedule.level(1.0), schedule.most());
    }

    #[test]
    fn log_normal_flow_clamps_its_times() {
        let schedule = Schedule::log_normal_flow(10, 0.2, 0.7).unwrap();
        assert!((schedule.level(0.5).sigma - 0.5).abs() < 1e-15);
        assert_eq!(schedule.level(1e-9), NoiseLevel::flow(0.2));
        assert_eq!(schedule.level(1.0 - 1e-9), NoiseLevel::flow(0.7));
    }
}
