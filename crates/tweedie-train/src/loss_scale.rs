//! Gradients that fit into half precision.

use serde::{Deserialize, Serialize};

/// Dynamic loss scaling (Micikevicius et al., arXiv:1710.03740, section 3.2), with PyTorch's
/// numbers: gradients are computed of the loss times `scale`; if one of them is not finite, the
/// step changes nothing and the scale is halved, and after 2,000 good steps it is doubled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossScale {
    /// What the loss is multiplied by, a power of two.
    pub scale: f64,
    /// Steps since the scale last changed.
    pub good_steps: u64,
    /// Steps that changed nothing, over the run.
    pub skipped: u64,
}

const INTERVAL: u64 = 2000;
const LARGEST: f64 = 1_099_511_627_776.0; // 2⁴⁰
/// Gradients that are not finite at this scale are not the scale's fault.
const LEAST: f64 = 1.0 / 16_384.0;

impl Default for LossScale {
    fn default() -> Self {
        LossScale { scale: 65_536.0, good_steps: 0, skipped: 0 }
    }
}

impl LossScale {
    /// Takes note of a step: whether its gradients were finite. Tells whether there is hope.
    pub(crate) fn update(&mut self, finite: bool) -> bool {
        if finite {
            self.good_steps += 1;
            if self.good_steps >= INTERVAL {
                self.scale = (2.0 * self.scale).min(LARGEST);
                self.good_steps = 0;
            }
            return true;
        }
        self.skipped += 1;
        self.good_steps = 0;
        self.scale /= 2.0;
        self.scale >= LEAST
    }

    /// Whether it can come from a run.
    pub(crate) fn is_sound(&self) -> bool {
        (LEAST..=LARGEST).contains(&self.scale) && self.good_steps < INTERVAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_slowly_and_shrinks_at_once() {
        let mut scale = LossScale::default();
        for _ in 0..1999 {
            assert!(scale.update(true));
        }
        assert_eq!(scale.scale, 65_536.0);
        scale.update(true);
        assert_eq!(scale, LossScale { scale: 131_072.0, good_steps: 0, skipped: 0 });
        scale.update(true);
        assert!(scale.update(false));
        assert_eq!(scale, LossScale { scale: 65_536.0, good_steps: 0, skipped: 1 });
    }

    #[test]
    fn what_no_scale_helps_is_given_up() {
        let mut scale = LossScale::default();
        let tries = (0..100).take_while(|_| scale.update(false)).count();
        assert_eq!(tries, 30); // from 2¹⁶ to 2⁻¹⁴
        assert!(!LossScale { scale: f64::NAN, ..Default::default() }.is_sound());
    }
}
