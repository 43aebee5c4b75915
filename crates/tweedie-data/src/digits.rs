//! The UCI optical digits: 1,797 real images of 8 × 8 pixels, within the crate.
//!
//! E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
//! Repository, 1998, CC BY 4.0.

use crate::{Dataset, Error, Result, Split};
use std::io::Read;
use std::path::Path;
use tweedie_torch::tensor;

const FILE: &[u8] = include_bytes!("../assets/digits.csv.gz");
const COUNT: usize = 1797;
const PIXELS: usize = 64;

/// The images before this one are for training, the rest for tests. The writers of the two parts
/// overlap: the set does not say who wrote what.
pub const TRAIN: usize = 1500;

/// [`train()`] or [`test()`].
pub fn split(split: Split) -> Result<Dataset> {
    match split {
        Split::Train => train(),
        Split::Test => test(),
    }
}

/// All images, `[1797, 1, 8, 8]` with grey values 0 to 16 brought to [−1, 1], and their labels.
pub fn all() -> Result<Dataset> {
    part(0, COUNT)
}

/// The first 1,500.
pub fn train() -> Result<Dataset> {
    part(0, TRAIN)
}

/// The last 297.
pub fn test() -> Result<Dataset> {
    part(TRAIN, COUNT)
}

fn part(from: usize, to: usize) -> Result<Dataset> {
    let broken = |problem: String| Error::broken(Path::new("digits.csv.gz"), problem);
    let mut text = String::new();
    let read = flate2::read::GzDecoder::new(FILE).read_to_string(&mut text);
    read.map_err(|e| broken(e.to_string()))?;
    let (mut x, mut labels) = (Vec::with_capacity(COUNT * PIXELS), Vec::with_capacity(COUNT));
    for line in text.lines().take(to).skip(from) {
        let numbers: Vec<f32> = line.split(',').filter_map(|v| v.trim().parse().ok()).collect();
        let [pixels @ .., label] = &numbers[..] else { return Err(broken("an empty line".into())) };
        if pixels.len() != PIXELS {
            return Err(broken(format!("a line of {} numbers", numbers.len())));
        }
        x.extend(pixels.iter().map(|v| v / 8.0 - 1.0));
        labels.push(*label as i64);
    }
    let n = labels.len() as i64;
    Dataset::new(tensor::from_f32(&x, &[n, 1, 8, 8])?, Some(tensor::from_i64(&labels, &[n])?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::tensor::{to_f32, to_i64};

    #[test]
    fn they_are_all_there() {
        let all = all().unwrap();
        assert_eq!(
            (all.count(), all.sample_shape(), all.classes()),
            (1797, vec![1, 8, 8], Some(10))
        );
        assert_eq!(train().unwrap().count() + test().unwrap().count(), 1797);
        let x = to_f32(all.samples()).unwrap();
        assert!(x.iter().all(|v| (-1.0..=1.0).contains(v)));
        // The first image is a 0; its first row is 0 0 5 13 9 1 0 0 of 16.
        assert_eq!(x[..8], [-1.0, -1.0, -0.375, 0.625, 0.125, -0.875, -1.0, -1.0]);
        let labels = to_i64(all.labels().unwrap()).unwrap();
        assert_eq!(labels[..4], [0, 1, 2, 3]);
        let counts: Vec<usize> =
            (0..10).map(|d| labels.iter().filter(|&&l| l == d).count()).collect();
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    }
}
