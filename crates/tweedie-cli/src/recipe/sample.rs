//! `[sample]` of a recipe: how samples are made unless the command line says otherwise.

use crate::output::usage;
use anyhow::Result;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use tweedie::samplers::SamplerSpec;
use tweedie::schedules::{GridSpec, ScheduleSpec};

/// What `tweedie sample` and previews do unless they are told otherwise.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SampleSpec {
    /// A name that `tweedie samplers` lists, or a table with its `name` and settings.
    sampler: SamplerChoice,
    /// Steps.
    pub(crate) steps: usize,
    /// `uncond + scale·(cond − uncond)`, where a class is asked for; 1 is off.
    pub(crate) guidance_scale: f64,
    /// A rule for the noise levels; the schedule's own if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grid: Option<GridSpec>,
    /// The noise levels that samples are made along, where they are not those of training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<ScheduleSpec>,
}

impl Default for SampleSpec {
    fn default() -> Self {
        let sampler = SamplerChoice::Name("ddim".to_owned());
        SampleSpec { sampler, steps: 20, grid: None, schedule: None, guidance_scale: 1.0 }
    }
}

impl SampleSpec {
    /// The sampler, with its default settings unless they are given.
    pub(crate) fn sampler(&self) -> Result<SamplerSpec> {
        match &self.sampler {
            SamplerChoice::Settings(spec) => Ok(*spec),
            SamplerChoice::Name(name) => crate::commands::sampler(name)
                .map_err(|why| usage(format!("`sample.sampler` is {name:?}: {why}"))),
        }
    }
}

/// A sampler by name, or with settings.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum SamplerChoice {
    Name(String),
    Settings(SamplerSpec),
}

impl<'de> Deserialize<'de> for SamplerChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Choice)
    }
}

/// Tells a name from a table, so that what is wrong in a table is named.
struct Choice;

impl<'de> Visitor<'de> for Choice {
    type Value = SamplerChoice;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a sampler\'s name, or a table with `name` and its settings")
    }

    fn visit_str<E>(self, name: &str) -> Result<SamplerChoice, E> {
        Ok(SamplerChoice::Name(name.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SamplerChoice, A::Error> {
        SamplerSpec::deserialize(MapAccessDeserializer::new(map)).map(SamplerChoice::Settings)
    }
}
