//! Schedules, grids and training noise by name, for recipes and programs.
//!
//! ```
//! use tweedie_schedules::{GridSpec, ScheduleSpec};
//!
//! let mut schedule = ScheduleSpec::by_name("log-linear")?;
//! schedule.set("sigma-min", "0.005")?;
//! let mut grid = GridSpec::by_name("karras")?;
//! grid.set("rho", "5")?;
//! let grid = grid.grid(&schedule.build()?, 20)?;
//! assert_eq!((grid.steps(), grid.start().sigma), (20, 10.0));
//! # Ok::<(), tweedie_schedules::Error>(())
//! ```

mod grid;
mod level;
mod schedule;
mod slot;

pub use grid::GridSpec;
pub use level::LevelSpec;
pub use schedule::ScheduleSpec;

use crate::error::{Error, Result};
use slot::Slot;

/// What a listing says of a schedule, a grid or a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Its name, as `type` in a recipe.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Its parameters with their defaults; empty where the schedule decides.
    pub parameters: Vec<(&'static str, String)>,
}

fn info(
    name: &'static str,
    about: &'static str,
    slots: Vec<(&'static str, &mut dyn Slot)>,
) -> Info {
    let parameters = slots.into_iter().map(|(name, slot)| (name, slot.get())).collect();
    Info { name, about, parameters }
}

/// The one of `all` with this name.
fn find<T: Clone>(
    kind: &'static str,
    all: &[T],
    name_of: impl Fn(&T) -> &'static str,
    name: &str,
) -> Result<T> {
    all.iter().find(|spec| name_of(spec) == name).cloned().ok_or_else(|| Error::UnknownName {
        kind,
        name: name.to_owned(),
        known: all.iter().map(name_of).collect::<Vec<_>>().join(", "),
    })
}

/// Sets the parameter, written with `-` or `_`, from text.
fn set(
    name: &'static str,
    slots: Vec<(&'static str, &mut dyn Slot)>,
    parameter: &str,
    value: &str,
) -> Result<()> {
    let wanted = parameter.replace('-', "_");
    let known = slots.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let Some((slot_name, slot)) = slots.into_iter().find(|(name, _)| *name == wanted) else {
        let known = if known.is_empty() { "none".to_owned() } else { known };
        return Err(Error::UnknownParameter { name, parameter: parameter.to_owned(), known });
    };
    slot.set(slot_name, value)
}
