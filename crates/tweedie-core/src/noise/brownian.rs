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
//!
//! A sampler's next interval begins where the last ended, so the path's place there is kept: that
//! is half of the work, and changes no bit of the answer.

use super::{fill_samples, normal::mixture_from, philox::Key, stream};
use crate::Result;
use tch::{Kind, Tensor};
use tweedie_schedules::NoiseLevel;
use tweedie_torch::{fused, tensor};

const CELLS: u32 = 64;
const HALVINGS: u32 = 7;

/// The time of a level: `r/(1 + r)` with `r = (sigma/alpha)^⅓`, which spreads the steps of the usual
/// grids about evenly over [0, 1].
pub fn clock(level: NoiseLevel) -> f64 {
    let root = level.ratio().cbrt();
    if root.is_finite() { root / (1.0 + root) } else { 1.0 }
}

/// The path of every sample, with the place where the last increment ended.
#[derive(Debug, Default)]
pub(super) struct Path {
    place: Option<(f64, Tensor)>,
    /// Memory for the next place.
    spare: Option<Tensor>,
}

impl Path {
    /// Forgets the place: the samples are others.
    pub(super) fn forget(&mut self) {
        self.place = None;
    }

    /// `out ← (W(b) − W(a)) / √|b − a|`, of unit variance; sample i has the seed and number `of(i)`.
    pub(super) fn increment(
        &mut self,
        a: f64,
        b: f64,
        of: impl Fn(usize) -> (u64, u32) + Sync,
        out: &mut Tensor,
    ) -> Result<()> {
        let fill = |nodes: &[Node], out: &mut Tensor| {
            fill_samples(out, |i, from, values| fill(nodes, of(i), from, values))
        };
        let Some(between) = Between::of(a, b) else {
            return fill(&nodes_between(a, b), out);
        };
        let float = (Kind::Float, out.device());
        let fits = |t: &Tensor| t.size() == out.size() && t.device() == out.device();
        let from = match self.place.take() {
            Some((time, place)) if time == a && fits(&place) => place,
            _ => {
                let mut place = Tensor::empty(out.size(), float);
                fill(&from_cell(a), &mut place)?;
                place
            }
        };
        let spare = self.spare.take().filter(|t| fits(t) && tensor::is_unique(t));
        let mut to = spare.unwrap_or_else(|| Tensor::empty(out.size(), float));
        fill(&from_cell(b), &mut to)?;
        let Between { cells, sign, scale } = between;
        let terms = [(scale, &to), (-scale, &from)];
        // Single precision in between, so that a sample is the same in every kind.
        let mut other = (out.kind() != Kind::Float).then(|| Tensor::empty(out.size(), float));
        let sum = other.as_mut().unwrap_or(&mut *out);
        fill(&cells, sum)?; // nodes of none are zeros
        fused::combine(sum, scale * sign, &terms)?;
        if let Some(sum) = other {
            out.f_copy_(&sum).map_err(tweedie_torch::Error::from)?;
        }
        self.spare = Some(from);
        self.place = Some((b, to));
        Ok(())
    }
}

/// A node's number and the weight of its normal number.
type Node = (u32, f64);

fn cell_of(t: f64) -> u32 {
    ((t * f64::from(CELLS)) as u32).min(CELLS - 1)
}

/// The path from the start of the cell `first` to that of `last`.
fn whole_cells(first: u32, last: u32) -> Vec<Node> {
    (first..last).map(|cell| (cell << 8, 1.0)).collect()
}

/// An increment as a sum: `scale·(W(b) − W(a) + sign·cells)`, both places counted from the starts of
/// their cells.
struct Between {
    cells: Vec<Node>,
    sign: f64,
    scale: f64,
}

impl Between {
    /// Nothing for times in one leaf, whose difference has to be taken node by node.
    fn of(a: f64, b: f64) -> Option<Self> {
        let leaf = |t: f64| (t * f64::from(CELLS << HALVINGS)) as u32;
        if leaf(a) == leaf(b) {
            return None;
        }
        let cells = whole_cells(cell_of(a.min(b)), cell_of(a.max(b)));
        let scale = 1.0 / ((b - a).abs() * f64::from(CELLS)).sqrt();
        Some(Between { cells, sign: (b - a).signum(), scale })
    }
}

/// The path from the start of its cell to `t`.
fn from_cell(t: f64) -> Vec<Node> {
    let mut nodes = Vec::new();
    within_cell(cell_of(t), t, 1.0, &mut nodes);
    nodes.retain(|n| n.1 != 0.0);
    nodes
}

/// Nodes whose weighted sum is `(W(b) − W(a)) / √|b − a|`, of unit variance.
fn nodes_between(a: f64, b: f64) -> Vec<Node> {
    let (low, high) = (a.min(b), a.max(b));
    let (first, last) = (cell_of(low), cell_of(high));
    let mut nodes = whole_cells(first, last);
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
fn within_cell(cell: u32, t: f64, sign: f64, nodes: &mut Vec<Node>) {
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

/// Fills `out` with the weighted sum of the nodes for a sample, from its number `from` on.
fn fill(nodes: &[Node], (seed, sample): (u64, u32), from: usize, out: &mut [f32]) {
    let key = |draw| Key { seed, stream: stream::BROWNIAN, sample, draw };
    let terms: Vec<_> = nodes.iter().map(|&(node, w)| (key(node), w as f32)).collect();
    mixture_from(&terms, from, out);
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
                    let (p, q) = (nodes_between(a, b), nodes_between(c, d));
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
        assert!(nodes_between(0.5, 0.5).iter().map(|n| n.1 * n.1).sum::<f64>() == 1.0);
    }

    /// The sum of places and cells is the sum of the nodes; a place that is known changes no bit.
    #[test]
    fn places_and_cells_make_the_increment() {
        let key = |i: usize| (7, i as u32);
        let shape = [3, 50];
        let at = |path: &mut Path, a: f64, b: f64, kind| {
            let mut out = Tensor::empty(shape, (kind, tch::Device::Cpu));
            path.increment(a, b, key, &mut out).unwrap();
            out
        };
        let mut path = Path::default();
        for times in [[1.0, 0.7], [0.7, 0.698], [0.698, 0.2], [0.2, 0.200_001], [0.3, 0.31]] {
            let [a, b] = times;
            let ours = at(&mut path, a, b, Kind::Float);
            let mut direct = Tensor::empty(shape, tch::kind::FLOAT_CPU);
            let nodes = nodes_between(a, b);
            fill_samples(&mut direct, |i, from, v| fill(&nodes, key(i), from, v)).unwrap();
            let off = f64::try_from((&ours - direct).abs().max()).unwrap();
            assert!(off < 2e-5, "{a} to {b}: {off}");
            assert!(ours.equal(&at(&mut Path::default(), a, b, Kind::Float)));
            let double = at(&mut Path::default(), a, b, Kind::Double);
            assert!(double.to_kind(Kind::Float).equal(&ours), "every kind has the same numbers");
        }
    }
}
