#![doc = include_str!("../README.md")]

mod error;
pub mod grid;
mod level;
mod numeric;
pub mod path;
pub mod schedule;
pub mod spec;
pub mod training;

pub use error::{Error, MAX_LEVELS, Result};
pub use grid::{
    Ays, Beta, Exponential, FlowShift, Grid, Karras, Leading, Linspace, PolyExponential, Trailing,
    UniformLambda, UniformTime,
};
pub use level::{NoiseLevel, Scale};
pub use path::Path;
pub use schedule::{Cosine, Ddpm, Flow, Ldm, LogLinear, LogNormalFlow, Schedule, Sigmoid};
pub use spec::{GridSpec, LevelSpec, ScheduleSpec};
pub use training::LevelSampler;
