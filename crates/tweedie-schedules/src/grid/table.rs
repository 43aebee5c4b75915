//! Grids that pick from a training table, as Table 2 of arXiv:2305.08891 names them.

use serde::{Deserialize, Serialize};

use super::Grid;
use crate::error::{Error, Result, argument, count};
use crate::level::NoiseLevel;
use crate::schedule::Schedule;

/// Where a grid over a table ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// At the table's first level, its least noise: smalldiffusion, diffusers' `sigma_min`.
    #[default]
    Least,
    /// At clean data: k-diffusion, diffusers' `zero`.
    Clean,
}

/// Which of diffusers' schedulers to place the levels as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Convention {
    /// DDIM, DDPM, PNDM: whole timesteps; `leading` steps by `n / steps`.
    Ddim,
    /// Euler, Heun, LMS: `linspace` falls between timesteps, linearly in sigma.
    #[default]
    Euler,
    /// DPM-Solver++, UniPC, DEIS: whole timesteps, one more of them, of which the last is dropped.
    DpmSolver,
}

/// Every `n/steps`-th level, from the last of the table down, rounded half to even.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trailing {
    /// Where it ends; smalldiffusion's ends at the table's first level.
    pub end: End,
}

/// Every `⌊n/steps⌋`-th level from the first of the table up. The noisiest is left out,
/// so sampling starts with less noise than there should be: kept for models' own settings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Leading {
    /// Added to every timestep; Stable Diffusion's `steps_offset` is 1.
    pub offset: usize,
    /// Whose timesteps.
    pub convention: Convention,
    /// Where it ends.
    pub end: End,
}

/// Timesteps in a line from the last of the table to its first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Linspace {
    /// Whose timesteps.
    pub convention: Convention,
    /// Where it ends.
    pub end: End,
}

impl Default for Leading {
    fn default() -> Self {
        Self { offset: 0, convention: Convention::default(), end: End::Clean }
    }
}

impl Default for Linspace {
    fn default() -> Self {
        Self { convention: Convention::default(), end: End::Clean }
    }
}

impl Trailing {
    /// The grid of `steps` steps over `schedule`.
    ///
    /// # Errors
    /// For no steps, and for so many that a level would stand twice.
    pub fn grid(&self, schedule: &Schedule, steps: usize) -> Result<Grid> {
        let n = schedule.len();
        count("steps", steps, 1)?;
        let place = |i: usize| n as f64 * (1.0 - i as f64 / steps as f64);
        let index = |i: usize| (place(i).round_ties_even() - 1.0) as usize;
        // One and a half levels a step keep the last one off index 0, where the grid ends;
        // at exactly that, rounding decides.
        let least = self.end == End::Least;
        let most = if least { (2 * n / 3).min(steps.saturating_sub(1).max(1)) } else { n };
        if steps > n || (least && index(steps - 1) == 0) {
            return Err(Error::Steps { steps, most, spacing: "trailing", levels: n });
        }
        at(schedule, (0..steps).map(|i| schedule.levels()[index(i)]), self.end)
    }
}

impl Leading {
    /// The grid of `steps` steps over `schedule`.
    ///
    /// # Errors
    /// For no steps, for more than the table has, where `offset` leads past its end, and where
    /// the grid would end twice at the table's first level.
    pub fn grid(&self, schedule: &Schedule, steps: usize) -> Result<Grid> {
        let n = schedule.len();
        count("steps", steps, 1)?;
        let extra = usize::from(self.convention == Convention::DpmSolver);
        if steps + extra > n {
            return Err(Error::Steps { steps, most: n - extra, spacing: "leading", levels: n });
        }
        let ratio = n / (steps + extra);
        let room = n - 1 - ratio * (steps + extra - 1);
        if self.offset > room {
            return Err(argument(
                "offset",
                self.offset,
                format!("at most {room} for {steps} steps"),
            ));
        }
        let index = |i: usize| (steps + extra - 1 - i) * ratio + self.offset;
        if index(steps - 1) == 0 && self.end == End::Least {
            return Err(ends_twice());
        }
        at(schedule, (0..steps).map(|i| schedule.levels()[index(i)]), self.end)
    }
}

impl Linspace {
    /// The grid of `steps` steps over `schedule`; one step starts at the table's last level
    /// (diffusers' Euler would start at the first).
    ///
    /// # Errors
    /// For no steps, for more than the table has, and where the grid would end twice at the
    /// table's first level.
    pub fn grid(&self, schedule: &Schedule, steps: usize) -> Result<Grid> {
        let n = schedule.len();
        count("steps", steps, 1)?;
        let points = steps + usize::from(self.convention == Convention::DpmSolver);
        if points > n {
            let most = n - (points - steps);
            return Err(Error::Steps { steps, most, spacing: "linspace", levels: n });
        }
        if self.end == End::Least && self.convention != Convention::DpmSolver && steps > 1 {
            return Err(ends_twice());
        }
        let width = (n - 1) as f64 / (points - 1).max(1) as f64;
        let level = |i: usize| {
            let timestep = if i == 0 { (n - 1) as f64 } else { width * (points - 1 - i) as f64 };
            match self.convention {
                Convention::Euler => schedule.level_at_linear(timestep),
                _ => schedule.levels()[timestep.round_ties_even() as usize],
            }
        };
        at(schedule, (0..steps).map(level), self.end)
    }
}

fn at(schedule: &Schedule, levels: impl Iterator<Item = NoiseLevel>, end: End) -> Result<Grid> {
    let last = match end {
        End::Least => schedule.least(),
        End::Clean => schedule.scale().level(0.0),
    };
    Grid::from_levels(levels.chain([last]).collect())
}

fn ends_twice() -> Error {
    argument("end", "least", "clean, as this spacing visits the table's first level before its end")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sigma is the timestep plus one.
    fn table(n: usize) -> Schedule {
        Schedule::from_sigmas(&(1..=n).map(|i| i as f64).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn four_steps_of_each() {
        let schedule = table(1000);
        let timesteps = |grid: Grid| -> Vec<f64> {
            grid.sigmas()[..4].iter().map(|s| ((s - 1.0) * 1e3).round() / 1e3).collect()
        };
        let [ddim, euler, dpm] = [Convention::Ddim, Convention::Euler, Convention::DpmSolver];
        let leading = |c| {
            timesteps(Leading { convention: c, ..Default::default() }.grid(&schedule, 4).unwrap())
        };
        let linspace = |c| {
            timesteps(Linspace { convention: c, ..Default::default() }.grid(&schedule, 4).unwrap())
        };
        assert_eq!(timesteps(schedule.grid(4).unwrap()), [999.0, 749.0, 499.0, 249.0]);
        assert_eq!(leading(ddim), [750.0, 500.0, 250.0, 0.0]);
        assert_eq!(leading(dpm), [800.0, 600.0, 400.0, 200.0]);
        assert_eq!(linspace(ddim), [999.0, 666.0, 333.0, 0.0]);
        assert_eq!(linspace(euler), [999.0, 666.0, 333.0, 0.0]);
        assert_eq!(linspace(dpm), [999.0, 749.0, 500.0, 250.0]);
    }

    #[test]
    fn trailing_works_exactly_as_far_as_it_says() {
        for n in 2..60 {
            let schedule = table(n);
            for end in [End::Least, End::Clean] {
                let most = (1..=n).take_while(|&k| Trailing { end }.grid(&schedule, k).is_ok());
                let error = Trailing { end }.grid(&schedule, most.count() + 1).unwrap_err();
                assert!(matches!(error, Error::Steps { .. }), "{n} {end:?} {error}");
            }
        }
    }

    #[test]
    fn an_offset_past_the_table_is_refused() {
        let rule = Leading { offset: 1, ..Default::default() };
        assert_eq!(rule.grid(&table(1000), 50).unwrap().start().sigma, 982.0);
        let error = rule.grid(&table(1000), 1000).unwrap_err().to_string();
        assert_eq!(error, "offset is 1, expected at most 0 for 1000 steps");
    }
}
