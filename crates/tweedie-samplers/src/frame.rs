//! Coordinates in which the probability-flow ODE is solved.

use serde::{Deserialize, Serialize};
use tweedie_core::NoiseLevel;

/// A way to write the state and the time of the same trajectory: `y = x·scale`, `s = sigma·scale`.
///
/// In both frames the ODE reads `dy/ds = (y − x0) / s`. First-order steps are the same in either;
/// solvers of higher order differ in their error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    /// `y = x/alpha = x0 + s·eps`: EDM's (arXiv:2206.00364). Has no start at `alpha = 0`.
    #[default]
    Ve,
    /// `y = x/(alpha + sigma) = (1 − s)·x0 + s·eps`: the straight path of flow matching.
    Flow,
}

impl Frame {
    /// The factor from the state `x` at `level` to `y`.
    pub fn scale(self, level: NoiseLevel) -> f64 {
        match self {
            Frame::Ve => 1.0 / level.alpha,
            Frame::Flow => 1.0 / (level.alpha + level.sigma),
        }
    }

    /// The time `s` of `level`.
    pub fn time(self, level: NoiseLevel) -> f64 {
        level.sigma * self.scale(level)
    }

    /// The level at time `s`, on the path that `from` and `to` are on.
    pub(crate) fn level(self, s: f64, from: NoiseLevel, to: NoiseLevel) -> NoiseLevel {
        match self {
            Frame::Ve => between(from, to, s),
            Frame::Flow => between(from, to, s / (1.0 - s)),
        }
    }

    /// Whether a step has slopes at both ends: not to no noise, and in [`Frame::Ve`] not from
    /// `alpha = 0`.
    pub(crate) fn has_slopes(self, from: NoiseLevel, to: NoiseLevel) -> bool {
        to.sigma > 0.0 && self.scale(from).is_finite()
    }
}

/// The level of noise ratio `sigma/alpha = ratio` on the path of `from` and `to`: of the three
/// measures of scale, `alpha`, `√(alpha² + sigma²)` and `alpha + sigma`, the one that changes least
/// is kept. A denoiser may be asked at any scale; the path's own is what it knows best.
pub(crate) fn between(from: NoiseLevel, to: NoiseLevel, ratio: f64) -> NoiseLevel {
    let measures: [fn(NoiseLevel) -> f64; 3] =
        [|l| l.alpha, |l| l.alpha.hypot(l.sigma), |l| l.alpha + l.sigma];
    let change = |size: &fn(NoiseLevel) -> f64| (size(from) - size(to)).abs();
    let least = measures.iter().map(change).fold(f64::INFINITY, f64::min);
    // Rounding must not choose: a few units in the last place are no change.
    let kept = measures.iter().find(|size| change(size) <= least + 1e-12 * size(from));
    let size = kept.unwrap_or(&measures[1]);
    let unit = NoiseLevel { alpha: 1.0, sigma: ratio };
    let alpha = size(from) / size(unit);
    NoiseLevel { alpha, sigma: alpha * ratio }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_between_two_is_on_their_path() {
        let near = |a: NoiseLevel, b: NoiseLevel| {
            (a.alpha - b.alpha).abs() < 1e-12 && (a.sigma - b.sigma).abs() < 1e-12
        };
        for (from, to, ratio) in [(3.0, 0.5, 1.2), (0.5, 0.0, 0.1), (0.02, 0.0199, 0.01995)] {
            let ve = between(NoiseLevel::ve(from), NoiseLevel::ve(to), ratio);
            assert_eq!(ve, NoiseLevel::ve(ratio));
            let vp = between(NoiseLevel::vp(from), NoiseLevel::vp(to), ratio);
            assert!(near(vp, NoiseLevel::vp(ratio)), "{vp:?}");
            let on = |r: f64| NoiseLevel::flow(r / (1.0 + r));
            let flow = between(on(from), on(to), ratio);
            assert!(near(flow, on(ratio)), "{flow:?}");
        }
    }
}
