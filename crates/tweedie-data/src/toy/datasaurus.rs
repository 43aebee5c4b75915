//! The Datasaurus dozen: thirteen sets of 142 points with the same means, variances and
//! correlation. Matejka and Fitzmaurice, "Same Stats, Different Graphs", CHI 2017.

use crate::{Error, Result};
use std::path::Path;

/// The names of the thirteen.
pub const DATASAURUS: [&str; 13] = [
    "dino",
    "away",
    "h_lines",
    "v_lines",
    "x_shape",
    "star",
    "high_lines",
    "dots",
    "circle",
    "bullseye",
    "slant_up",
    "slant_down",
    "wide_lines",
];

const FILE: &[u8] = include_bytes!("../../assets/datasaurus.csv.gz");

/// The points of a set, with smalldiffusion's scaling: 0 … 100 becomes −1 … 1.
pub fn datasaurus(name: &str) -> Result<Vec<[f64; 2]>> {
    if !DATASAURUS.contains(&name) {
        let expected = format!("one of {}, {}", super::NAMES.join(", "), DATASAURUS.join(", "));
        return Err(Error::invalid("the toy set", name, expected));
    }
    let broken = |e: csv::Error| Error::broken(Path::new("datasaurus.csv.gz"), e.to_string());
    let mut points = vec![];
    for row in csv::Reader::from_reader(flate2::read::GzDecoder::new(FILE)).deserialize() {
        let (set, x, y): (String, f64, f64) = row.map_err(broken)?;
        if set == name {
            points.push([(x - 50.0) / 50.0, (y - 50.0) / 50.0]);
        }
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the sets are famous for: means 54.26 and 47.83, deviations 16.77 and 26.94, correlation
    /// −0.06.
    #[test]
    fn the_statistics_are_the_same() {
        for name in DATASAURUS {
            let points: Vec<[f64; 2]> =
                datasaurus(name).unwrap().iter().map(|p| p.map(|v| v * 50.0 + 50.0)).collect();
            assert_eq!(points.len(), 142);
            let mean = |f: &dyn Fn(&[f64; 2]) -> f64| points.iter().map(f).sum::<f64>() / 142.0;
            let (x, y) = (mean(&|p| p[0]), mean(&|p| p[1]));
            let sd = |i: usize, m: f64| (mean(&|p| (p[i] - m).powi(2)) * 142.0 / 141.0).sqrt();
            let (sx, sy) = (sd(0, x), sd(1, y));
            let r = mean(&|p| (p[0] - x) * (p[1] - y)) * 142.0 / 141.0 / (sx * sy);
            for (found, expected) in
                [x, y, sx, sy, r].iter().zip([54.26, 47.83, 16.77, 26.94, -0.065])
            {
                assert!((found - expected).abs() < 0.02, "{name}: {found} for {expected}");
            }
        }
    }
}
