//! Sets without chance: smalldiffusion's Swiss roll and tree, with its numbers.

use super::Points;
use crate::{Error, Result};
use std::f64::consts::TAU;

/// `n` points on a spiral at angles `t = tmin … tmin + tmax`, evenly spaced, with radius
/// `t / tmax` (smalldiffusion's `Swissroll`, whose `tmax` is a length, not an end).
pub fn swissroll(tmin: f64, tmax: f64, n: usize) -> Points {
    let angle = |i: usize| tmin + tmax * i as f64 / (n.max(2) - 1) as f64;
    let point = |t: f64| [t * t.cos() / tmax, t * t.sin() / tmax];
    Points { xy: (0..n).map(|i| point(angle(i))).collect(), labels: vec![] }
}

/// A tree with its root in the middle and `branching_factor^depth` leaves on the unit circle.
/// Each leaf is a class: `samples_per_path` points along the way from the root, evenly spaced.
pub fn tree(branching_factor: usize, depth: usize, samples_per_path: usize) -> Result<Points> {
    let leaves = u32::try_from(depth).ok().and_then(|d| branching_factor.checked_pow(d));
    let leaves = leaves.filter(|l| (1..=1_000_000).contains(&(l * samples_per_path.max(1))));
    let Some(leaves) = leaves.filter(|_| depth > 0 && samples_per_path > 0) else {
        let found = format!("{branching_factor} to the {depth}, {samples_per_path} points each");
        return Err(Error::invalid("the tree", found, "1 to a million points"));
    };
    let mut points = Points::default();
    for leaf in 0..leaves {
        let path = path_to(leaf, leaves, branching_factor, depth);
        points.xy.extend(along(&path, samples_per_path));
        points.labels.extend(std::iter::repeat_n(leaf as i64, samples_per_path));
    }
    Ok(points)
}

/// The nodes from the root to a leaf: a branch points to the middle of the leaves behind it.
fn path_to(leaf: usize, leaves: usize, branching_factor: usize, depth: usize) -> Vec<[f64; 2]> {
    let node = |level: usize| {
        let behind = branching_factor.pow((depth - level) as u32);
        let middle = (leaf / behind * behind) as f64 + (behind - 1) as f64 / 2.0;
        let (theta, r) = (middle * TAU / leaves as f64, level as f64 / depth as f64);
        [r * theta.cos(), r * theta.sin()]
    };
    std::iter::once([0.0, 0.0]).chain((1..=depth).map(node)).collect()
}

/// `n` points along a line of straight pieces, evenly spaced in length, both ends included.
fn along(path: &[[f64; 2]], n: usize) -> Vec<[f64; 2]> {
    let lengths: Vec<f64> =
        path.windows(2).map(|w| (w[1][0] - w[0][0]).hypot(w[1][1] - w[0][1])).collect();
    let total: f64 = lengths.iter().sum();
    let at = |mut left: f64| {
        for (i, &length) in lengths.iter().enumerate() {
            if left < length || i + 1 == lengths.len() {
                let t = if length > 0.0 { left / length } else { 0.0 };
                return [0, 1].map(|axis| path[i][axis] + t * (path[i + 1][axis] - path[i][axis]));
            }
            left -= length;
        }
        path[0]
    };
    (0..n).map(|i| at(total * i as f64 / (n.max(2) - 1) as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// smalldiffusion's numbers (`tests/golden/make.py`), which are single precision.
    #[test]
    fn they_are_smalldiffusions() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/golden/toys.json")).unwrap();
        let close = |ours: &Points, theirs: &serde_json::Value| {
            let theirs: Vec<[f64; 2]> = serde_json::from_value(theirs.clone()).unwrap();
            assert_eq!(ours.xy.len(), theirs.len());
            for (a, b) in ours.xy.iter().flatten().zip(theirs.iter().flatten()) {
                assert!((a - b).abs() < 1e-6, "{a} for {b}");
            }
        };
        use std::f64::consts::PI;
        close(&swissroll(PI / 2.0, 5.0 * PI, 20), &golden["swissroll"]);
        let tree = tree(3, 2, 5).unwrap();
        close(&tree, &golden["tree"]);
        assert_eq!(serde_json::json!(tree.labels), golden["tree_labels"]);
    }

    #[test]
    fn trees_that_are_none_are_refused() {
        assert!(tree(2, 0, 5).is_err() && tree(0, 2, 5).is_err() && tree(2, 2, 0).is_err());
        assert!(tree(1000, 1000, 5).is_err() && tree(1000, 2, 50).is_err());
    }
}
