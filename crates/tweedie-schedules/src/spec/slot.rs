//! Parameters that are read from text and shown as text.

use crate::error::{Result, argument};
use crate::grid::{Ays, Convention, End, Over};

/// A parameter of a specification.
pub(super) trait Slot {
    /// Its value; empty if there is none.
    fn get(&self) -> String;
    /// Reads it; `name` is for the complaint.
    fn set(&mut self, name: &'static str, text: &str) -> Result<()>;
}

impl Slot for usize {
    fn get(&self) -> String {
        self.to_string()
    }

    fn set(&mut self, name: &'static str, text: &str) -> Result<()> {
        *self = text.parse().map_err(|_| argument(name, text, "a whole number"))?;
        Ok(())
    }
}

impl Slot for f64 {
    fn get(&self) -> String {
        self.to_string()
    }

    fn set(&mut self, name: &'static str, text: &str) -> Result<()> {
        *self = text.parse().map_err(|_| argument(name, text, "a number"))?;
        Ok(())
    }
}

impl Slot for Option<f64> {
    fn get(&self) -> String {
        self.map(|v| v.to_string()).unwrap_or_default()
    }

    fn set(&mut self, name: &'static str, text: &str) -> Result<()> {
        let mut value = 0.0;
        value.set(name, text)?;
        *self = Some(value);
        Ok(())
    }
}

/// A few words to choose from.
trait Choice: Copy + PartialEq + 'static {
    const ALL: &'static [(&'static str, Self)];
}

impl Choice for End {
    const ALL: &'static [(&'static str, Self)] = &[("least", Self::Least), ("clean", Self::Clean)];
}

impl Choice for Convention {
    const ALL: &'static [(&'static str, Self)] =
        &[("ddim", Self::Ddim), ("euler", Self::Euler), ("dpm-solver", Self::DpmSolver)];
}

impl Choice for Over {
    const ALL: &'static [(&'static str, Self)] =
        &[("timestep", Self::Timestep), ("sigma", Self::Sigma)];
}

impl Choice for Ays {
    const ALL: &'static [(&'static str, Self)] =
        &[("sd1", Self::Sd1), ("sdxl", Self::Sdxl), ("svd", Self::Svd)];
}

macro_rules! slot_of_choice {
    ($($choice:ty),*) => {$(
        impl Slot for $choice {
            fn get(&self) -> String {
                let name = Self::ALL.iter().find(|(_, value)| value == self).map(|(name, _)| *name);
                name.unwrap_or_default().to_owned()
            }

            fn set(&mut self, name: &'static str, text: &str) -> Result<()> {
                let found = Self::ALL.iter().find(|(word, _)| *word == text);
                let known = || Self::ALL.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
                let one_of = || argument(name, text, format!("one of {}", known()));
                *self = found.ok_or_else(one_of)?.1;
                Ok(())
            }
        }
    )*};
}

slot_of_choice!(End, Convention, Over, Ays);
