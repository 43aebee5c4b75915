//! What can be wrong with a schedule, and the guards that say so.

/// The most levels that a table or a grid may have.
/// A larger count is taken for a slip of the keyboard before anything is allocated for it.
pub const MAX_LEVELS: usize = 10_000_000;

/// What is wrong, with the value that was given and the one that was expected.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number is outside its range.
    #[error("{argument} is {value}, expected {expected}")]
    Argument {
        /// Name of the argument, as in the signature or the recipe.
        argument: &'static str,
        /// What was given.
        value: String,
        /// What would have been right.
        expected: String,
    },
    /// Two neighbours of a list of levels are in the wrong order.
    #[error("{what}: level {index} has noise ratio {ratio} after {previous}, expected {expected}")]
    Order {
        /// The list: a table (least noise first) or a grid (most noise first).
        what: &'static str,
        /// Index of the second of the two neighbours.
        index: usize,
        /// `sigma/alpha` of the first.
        previous: f64,
        /// `sigma/alpha` of the second.
        ratio: f64,
        /// The order that holds in such a list.
        expected: &'static str,
    },
    /// More steps than a table can tell apart.
    #[error(
        "steps is {steps}, expected at most {most} with {spacing} spacing over a table of {levels} levels: \
         beyond it a level would stand twice"
    )]
    Steps {
        /// Steps asked for.
        steps: usize,
        /// The largest number up to which no level repeats.
        most: usize,
        /// Name of the spacing.
        spacing: &'static str,
        /// Levels of the table.
        levels: usize,
    },
    /// A name that no schedule, grid or distribution has.
    #[error("there is no {kind} named {name:?}, expected one of {known}")]
    UnknownName {
        /// What was looked for: schedule, grid or training noise.
        kind: &'static str,
        /// The name that was given.
        name: String,
        /// All the names, separated by commas.
        known: String,
    },
    /// A parameter that this schedule, grid or distribution does not have.
    #[error("{name} has no parameter {parameter:?}, expected one of {known}")]
    UnknownParameter {
        /// Name of the schedule, grid or distribution.
        name: &'static str,
        /// The parameter that was given.
        parameter: String,
        /// Its parameters, separated by commas.
        known: String,
    },
}

/// Result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An [`Error::Argument`].
pub(crate) fn argument(
    argument: &'static str,
    value: impl ToString,
    expected: impl Into<String>,
) -> Error {
    Error::Argument { argument, value: value.to_string(), expected: expected.into() }
}

/// `value` if `ok`; a guard in one line.
pub(crate) fn ensure(ok: bool, name: &'static str, value: f64, expected: &str) -> Result<f64> {
    if ok { Ok(value) } else { Err(argument(name, value, expected)) }
}

/// A finite number above 0.
pub(crate) fn positive(name: &'static str, value: f64) -> Result<f64> {
    ensure(value.is_finite() && value > 0.0, name, value, "a finite number above 0")
}

/// A finite number.
pub(crate) fn finite(name: &'static str, value: f64) -> Result<f64> {
    ensure(value.is_finite(), name, value, "a finite number")
}

/// `low < high`, both finite: the complaint is about `low`.
pub(crate) fn rising(low: (&'static str, f64), high: (&'static str, f64)) -> Result<()> {
    finite(low.0, low.1)?;
    finite(high.0, high.1)?;
    ensure(low.1 < high.1, low.0, low.1, &format!("less than {} ({})", high.0, high.1))?;
    Ok(())
}

/// A count of at least `least` and at most [`MAX_LEVELS`].
pub(crate) fn count(name: &'static str, value: usize, least: usize) -> Result<usize> {
    if (least..=MAX_LEVELS).contains(&value) {
        return Ok(value);
    }
    Err(argument(name, value, format!("a whole number from {least} to {MAX_LEVELS}")))
}
