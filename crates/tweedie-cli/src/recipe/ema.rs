//! `[ema]` of a recipe: averages of the weights.

use crate::output::usage;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use tweedie::train::{Ema, EmaConfig};

/// Averages of the weights; 0 is as if a key were not given. At most one of `decay`, `half_life_steps`, `half_life_samples` and
/// `sigma_rel` says how the one for samples forgets; without any there is none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EmaSpec {
    /// How much stays at a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    decay: Option<f64>,
    /// With `decay`: at first `(1 + n)/(10 + n)` after n steps.
    warmup: bool,
    /// Steps after which half is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    half_life_steps: Option<f64>,
    /// Samples after which half is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    half_life_samples: Option<f64>,
    /// With `half_life_samples`: it is at most this part of the samples so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    ramp_up: Option<f64>,
    /// The width of a power-function average, relative to the run so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    sigma_rel: Option<f64>,
    /// Widths of power-function averages that are stored on the way, to make others of them.
    post_hoc: Vec<f64>,
    /// Steps between storing them; 0: with every checkpoint.
    pub(crate) snapshot_every: u64,
}

impl EmaSpec {
    /// The averages, where `ema_decay` is the short way to say `decay`.
    pub(crate) fn config(&self, ema_decay: f64) -> Result<EmaConfig> {
        let given = |value: Option<f64>| value.filter(|&v| v != 0.0);
        let warmup = self.warmup;
        let ways = [
            ("ema_decay", given(Some(ema_decay)).map(|decay| Ema::Decay { decay, warmup })),
            ("ema.decay", given(self.decay).map(|decay| Ema::Decay { decay, warmup })),
            ("ema.half_life_steps", given(self.half_life_steps).map(Ema::half_life_steps)),
            (
                "ema.half_life_samples",
                given(self.half_life_samples)
                    .map(|samples| Ema::HalfLife { samples, ramp_up: self.ramp_up }),
            ),
            ("ema.sigma_rel", given(self.sigma_rel).map(|sigma_rel| Ema::Power { sigma_rel })),
        ];
        let given: Vec<(&str, Ema)> =
            ways.into_iter().filter_map(|(key, ema)| Some((key, ema?))).collect();
        if let [(first, _), (second, _), ..] = given[..] {
            return Err(usage(format!(
                "`{first}` and `{second}` both say how the average forgets: set one to 0"
            )));
        }
        let average = given.first().map(|(_, ema)| *ema);
        let is = |wanted: fn(&Ema) -> bool| average.as_ref().is_some_and(wanted);
        if self.warmup && !is(|ema| matches!(ema, Ema::Decay { .. })) {
            return Err(usage("`ema.warmup` goes with `ema.decay`"));
        }
        if self.ramp_up.is_some() && !is(|ema| matches!(ema, Ema::HalfLife { .. })) {
            return Err(usage("`ema.ramp_up` goes with `ema.half_life_samples`"));
        }
        if let Some((key, ema)) = given.first() {
            ema.check().map_err(|e| usage(format!("`{key}`: {e}")))?;
        }
        if self.snapshot_every > 0 && self.post_hoc.is_empty() {
            return Err(usage(format!(
                "`ema.snapshot_every` is {}, but there is nothing to store: `ema.post_hoc` is empty",
                self.snapshot_every
            )));
        }
        let config = EmaConfig { average, post_hoc: self.post_hoc.clone() };
        config.check().map_err(|e| usage(format!("`ema.post_hoc`: {e}")))?;
        Ok(config)
    }
}
