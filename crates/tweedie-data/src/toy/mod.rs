//! Toy sets in the plane, by name or one by one.
//!
//! Coordinates are of the order of 1. A set that is drawn by chance is a function of its seed.

mod datasaurus;
mod random;
mod shapes;

pub use datasaurus::{DATASAURUS, datasaurus};
pub use random::{checkerboard, eight_gaussians, moons, pinwheel, rings, spirals};
pub use shapes::{swissroll, tree};

use crate::{Dataset, Error, Result};
use tweedie_torch::tensor;

/// Points and perhaps a label each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    /// The coordinates.
    pub xy: Vec<[f64; 2]>,
    /// As many labels as points, or none at all.
    pub labels: Vec<i64>,
}

impl Points {
    /// As a data set: `[n, 2]` in single precision.
    pub fn dataset(&self) -> Result<Dataset> {
        let n = self.xy.len() as i64;
        let xy: Vec<f32> = self.xy.iter().flatten().map(|&v| v as f32).collect();
        let labels = (!self.labels.is_empty()).then(|| tensor::from_i64(&self.labels, &[n]));
        Dataset::new(tensor::from_f32(&xy, &[n, 2])?, labels.transpose()?)
    }
}

/// The names that [`by_name`] takes, beside those of [`DATASAURUS`].
pub const NAMES: [&str; 8] = [
    "swissroll",
    "tree",
    "moons",
    "rings",
    "checkerboard",
    "eight-gaussians",
    "spirals",
    "pinwheel",
];

/// The largest number of points that is made.
const LIMIT: usize = 100_000_000;

/// `n` points of a set. The tree has as many as its shape gives, and the sets of the dozen have
/// 142 points, which are repeated until there are `n`.
pub fn by_name(name: &str, n: usize, seed: u64) -> Result<Points> {
    if !(1..=LIMIT).contains(&n) {
        return Err(Error::invalid("the number of points", n, format!("1 to {LIMIT}")));
    }
    Ok(match name {
        "swissroll" => swissroll(std::f64::consts::FRAC_PI_2, 5.0 * std::f64::consts::PI, n),
        "tree" => tree(4, 3, 30)?,
        "moons" => moons(n, 0.05, seed),
        "rings" => rings(n, 4, 0.02, seed),
        "checkerboard" => checkerboard(n, seed),
        "eight-gaussians" => eight_gaussians(n, 0.1, seed),
        "spirals" => spirals(n, 0.02, seed),
        "pinwheel" => pinwheel(n, 5, seed),
        _ => {
            let set = datasaurus(name)?;
            Points { xy: set.iter().copied().cycle().take(n).collect(), labels: vec![] }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_makes_a_data_set_of_its_seed() {
        for name in NAMES.iter().chain(&DATASAURUS) {
            let points = by_name(name, 300, 1).unwrap();
            assert_eq!(points, by_name(name, 300, 1).unwrap());
            assert!(points.labels.is_empty() || points.labels.len() == points.xy.len());
            assert!(points.xy.iter().flatten().all(|v| v.abs() < 4.0), "{name}");
            let set = points.dataset().unwrap();
            assert_eq!(set.sample_shape(), [2]);
            if !matches!(*name, "swissroll" | "tree") && NAMES.contains(name) {
                assert_ne!(points, by_name(name, 300, 2).unwrap(), "{name}");
            }
        }
        let error = by_name("dinosaur", 10, 0).unwrap_err().to_string();
        assert!(error.contains("dinosaur") && error.contains("dino"), "{error}");
        assert!(by_name("moons", 0, 0).is_err());
    }
}
