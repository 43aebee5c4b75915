//! Less than the whole computation: features kept over calls, and tokens merged.

use super::UnetConfig;
use crate::nn::Merging;
use crate::{Error, Result};
use tch::Tensor;

/// What may be left out of a UNet's computation, each for a picture that is a little different. By
/// default nothing is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shortcuts {
    /// DeepCache (Ma, Fang & Wang, arXiv:2312.00858, section 3.3): one call in so many is computed
    /// whole; those between take the deep feature from it. 1 is off.
    pub cache_interval: usize,
    /// How many skip connections are computed at every call, of the outermost first: so many layers
    /// of the way up, and what they need of the way down. From 1 to
    /// [`UnetConfig::skip_connections`]; the authors' `cache_branch_id` is one less.
    pub cache_depth: usize,
    /// Token merging (Bolya & Hoffman, arXiv:2303.17604): the share of the tokens, from 0 (off) to
    /// 0.75, that go from the self-attention of the highest resolution that has attention. One token
    /// of each 2 × 2 stays.
    pub merge_ratio: f64,
}

impl Default for Shortcuts {
    fn default() -> Self {
        Shortcuts { cache_interval: 1, cache_depth: 1, merge_ratio: 0.0 }
    }
}

/// Calls between two whole ones; more is more than any run has steps.
const MOST_CALLS: usize = 1_000_000;

impl Shortcuts {
    /// That a UNet can take them.
    ///
    /// # Errors
    /// For a number that is out of its range.
    pub fn check(&self, config: &UnetConfig) -> Result<()> {
        if !(1..=MOST_CALLS).contains(&self.cache_interval) {
            let expected = format!("1 (off) to {MOST_CALLS}");
            return Err(Error::invalid("the interval of the cache", self.cache_interval, expected));
        }
        let most = config.skip_connections();
        if !(1..=most).contains(&self.cache_depth) {
            let expected = format!("1 to {most}, this UNet's skip connections");
            return Err(Error::invalid("the depth of the cache", self.cache_depth, expected));
        }
        if !(0.0..=0.75).contains(&self.merge_ratio) {
            let expected = "a number from 0 (off) to 0.75";
            return Err(Error::invalid("the share of merged tokens", self.merge_ratio, expected));
        }
        Ok(())
    }

    /// The cache's depth; nothing where every call is whole.
    pub(super) fn depth(&self) -> Option<usize> {
        (self.cache_interval > 1).then_some(self.cache_depth)
    }
}

/// What a UNet keeps from call to call, within one run of sampling and under one condition.
///
/// Calls are counted, not steps: a sampler that evaluates the network twice a step has a whole call
/// each [`Shortcuts::cache_interval`] evaluations. A call of another shape than the last is whole.
#[derive(Debug, Default)]
pub struct Memory {
    shortcuts: Shortcuts,
    calls: usize,
    deep: Option<Deep>,
}

/// The feature that the outermost layers of the way up were given.
#[derive(Debug)]
struct Deep {
    feature: Tensor,
    of: Shapes,
    /// Calls that may use it yet.
    left: usize,
}

/// The shapes of latents and prompt.
type Shapes = [Vec<i64>; 2];

impl Memory {
    /// Of a run that takes `shortcuts`.
    pub fn new(shortcuts: Shortcuts) -> Self {
        Memory { shortcuts, ..Memory::default() }
    }

    /// What may be left out.
    pub fn shortcuts(&self) -> &Shortcuts {
        &self.shortcuts
    }

    /// That the next call is whole: it is about another condition, or far from the last.
    pub fn forget(&mut self) {
        self.deep = None;
    }

    /// The feature to go on from, for a call of shapes `of`; nothing if the call has to be whole.
    pub(super) fn recall(&mut self, of: &Shapes) -> Option<Tensor> {
        self.calls += 1;
        let deep = self.deep.as_mut().filter(|deep| deep.left > 0 && deep.of == *of)?;
        deep.left -= 1;
        Some(deep.feature.shallow_clone())
    }

    /// Keeps what a whole call has come to.
    pub(super) fn keep(&mut self, feature: Tensor, of: Shapes) {
        self.deep = Some(Deep { feature, of, left: self.shortcuts.cache_interval - 1 });
    }

    /// How this call merges tokens, if it does.
    pub(super) fn merging(&self) -> Option<Merging> {
        let ratio = self.shortcuts.merge_ratio;
        (ratio > 0.0).then_some(Merging { ratio, draw: self.calls as u32 })
    }
}
