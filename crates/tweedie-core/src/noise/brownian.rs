//! A Brownian path whose increments are the same at every step size.
//!
//! The path `W` runs over a clock from 0 (clean data) to 1 (pure noise). The clock is cut into equal
//! cells. The increment over a cell is a normal number of its own, and within the cell the path is
//! a Brownian bridge, built by halving (Lévy's construction, a virtual Brownian tree as in
//! arXiv:2105.13493). A number belongs to a node of that tree by its Philox key, so the tree is
//! nowhere: an increment is a weighted sum of the normal numbers of some twenty nodes.
//!
//! The last halves, the leaves, have one more number for all of their inside, which gives each
//! point its right variance. So the path is exactly Brownian at times of different leaves.

use super::{normal::mixture, philox::Key, stream};
use tweedie_schedules::NoiseLevel;

const CELLS: u32 = 64;
const HALVINGS: u32 = 7;

/// The time of a level: `r/(1 + r)` with `r = (sigma/alpha)^⅓`, which spreads the steps of the usual
/// grids about evenly over [0, 1].
pub fn clock(level: NoiseLevel) -> f64 {
    let root = level.ratio().cbrt();
    if root.is_finite() { root / (1.0 + root) } else { 1.0 }
}

/// Node numbers and weights; the weighted sum of the nodes' normal numbers is
/// `(W(b) − W(a)) / √|b − a|`, of unit variance.
pub(super) fn increment(a: f64, b: f64) -> Vec<(u32, f64)> {
    let (low, high) = (a.min(b), a.max(b));
    let cell = |t: f64| ((t * f64::from(CELLS)) as u32).min(CELLS - 1);
    let (first, last) = (cell(low), cell(high));
    let mut nodes: Vec<(u32, f64)> = (first..last).map(|c| (c << 8, 1.0)).collect();
    within_cell(last, high, 1.0, &mut nodes);
    within_cell(first, low, -1.0, &mut nodes);
    nodes.sort_by_key(|n| n.0);
    nodes.dedup_by(|again, kept| {
        let same = again.0 == kept.0;
        kept.1 += if same { again.1 } else { 0.0 };
        same
    });
    nodes.retain(|n| n.1 != 0.0);
    // The variance is |b − a|, but for two times in one leaf.
    let norm = nodes.iter().map(|n| n.1.powi(2)).sum::<f64>().sqrt();
    if norm == 0.0 {
        return vec![(first << 8, 1.0)];
    }
    let scale = if b < a { -1.0 / norm } else { 1.0 / norm };
    nodes.iter().map(|&(node, weight)| (node, weight * scale)).collect()
}

/// The path from the start of `cell` to the time `t` in it, in units in which a cell has length 1.
fn within_cell(cell: u32, t: f64, sign: f64, nodes: &mut Vec<(u32, f64)>) {
    let t = t * f64::from(CELLS) - f64::from(cell);
    nodes.push((cell << 8, sign * t));
    let (mut node, mut left, mut width) = (1, 0.0, 1.0_f64);
    for _ in 0..HALVINGS {
        let half = 0.5 * width;
        let middle = left + half;
        // The bridge's middle has the standard deviation √width / 2, and a hat around it.
        let hat = 0.5 * width.sqrt() * (1.0 - (t - middle).abs() / half);
        nodes.push((cell << 8 | node, sign * hat));
        node = 2 * node + u32::from(t >= middle);
        left = if t >= middle { middle } else { left };
        width = half;
    }
    let inside = ((t - left) * (left + width - t) / width).max(0.0).sqrt();
    nodes.push((cell << 8 | node, sign * inside));
}

/// Fills `out` with the weighted sum of the nodes for a sample.
pub(super) fn fill(nodes: &[(u32, f64)], seed: u64, sample: u32, out: &mut [f32]) {
    let terms: Vec<(Key, f32)> = nodes
        .iter()
        .map(|&(draw, weight)| {
            (Key { seed, stream: stream::BROWNIAN, sample, draw }, weight as f32)
        })
        .collect();
    mixture(&terms, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The covariance of two normalised increments, from their weights.
    fn covariance(a: &[(u32, f64)], b: &[(u32, f64)]) -> f64 {
        let of = |node: u32| b.iter().filter(|n| n.0 == node).map(|n| n.1).sum::<f64>();
        a.iter().map(|n| n.1 * of(n.0)).sum()
    }

    /// The weights say exactly what the distribution is: no sampling is needed.
    #[test]
    fn increments_have_the_covariance_of_brownian_motion() {
        let times: Vec<f64> = (0..60).map(|i| (f64::from(i) * 0.37 + 0.001).fract()).collect();
        for (i, &a) in times.iter().enumerate() {
            for &b in &times[..i] {
                for &(c, d) in &[(0.0, 1.0), (0.1, 0.2), (0.313, 0.314), (times[i / 2], 0.9)] {
                    let (p, q) = (increment(a, b), increment(c, d));
                    let overlap = (a.max(b).min(d.max(c)) - a.min(b).max(c.min(d))).max(0.0);
                    let signs = (b - a).signum() * (d - c).signum();
                    let expected = signs * overlap / ((b - a) * (d - c)).abs().sqrt();
                    let found = covariance(&p, &q);
                    // Rounding, but where two of the times lie within one leaf of 1/8192.
                    assert!((found - expected).abs() < 1e-9, "{a} {b} {c} {d}: {found} {expected}");
                }
            }
        }
    }

    /// The variance before normalisation, so that increments add up.
    #[test]
    fn neighbours_add_up() {
        let path = |t: f64| {
            let mut nodes = vec![];
            let cell = ((t * 64.0) as u32).min(63);
            nodes.extend((0..cell).map(|c| (c << 8, 1.0)));
            within_cell(cell, t, 1.0, &mut nodes);
            nodes
        };
        for t in [0.0, 0.3, 0.515_625, 0.77, 1.0] {
            let variance: f64 = path(t).iter().map(|n| n.1 * n.1).sum();
            assert!((variance - 64.0 * t).abs() < 1e-12, "{t}: {variance}");
        }
    }

    #[test]
    fn the_clock_runs_from_data_to_noise() {
        let at = |s| clock(NoiseLevel::vp(s));
        assert_eq!((at(0.0), at(f64::INFINITY)), (0.0, 1.0));
        assert!((at(1.0) - 0.5).abs() < 1e-15 && at(80.0) > at(79.0));
        assert!((at(8.0) - clock(NoiseLevel::ve(8.0))).abs() < 1e-15);
        assert!(increment(0.5, 0.5).iter().map(|n| n.1 * n.1).sum::<f64>() == 1.0);
    }
}
