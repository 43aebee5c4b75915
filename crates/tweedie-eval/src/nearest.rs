//! The training image that is nearest to each sample: is it a copy?
//!
//! Distances are Euclidean, over all pixels. A sample counts as memorised if its nearest training
//! image is less than a third as far away as the second nearest: Yoon et al., "Diffusion
//! probabilistic models generalize when they fail to memorize" (ICML 2023 workshop), section 3;
//! Gu et al., "On memorization in diffusion models", arXiv:2310.02664, section 2. An image that is
//! in the data twice has a ratio of 1 and is missed: look at the distances too.

use crate::{Result, sets};
use tch::{Kind, Tensor};
use tweedie_torch::tensor;

/// For each sample the nearest row of the data, and how near it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest {
    /// The row of the data.
    pub indices: Vec<i64>,
    /// How far away it is, in the units of the pixels.
    pub distances: Vec<f64>,
    /// How far the next nearest row is, at least as far.
    pub second: Vec<f64>,
}

/// Below this ratio of the two distances a sample is taken for a copy.
pub const MEMORISED_RATIO: f64 = 1.0 / 3.0;

/// Samples in one product.
const QUERIES: i64 = 256;
/// Rows of the data in one product.
const TILE: i64 = 8192;
/// Rows whose distance is then computed without the cancellation of the product.
const CANDIDATES: i64 = 8;

/// The nearest and second nearest of `data`, `[m, …]`, for each of `samples`, `[n, …]`, which have
/// the same shape each.
///
/// A matrix product in single precision picks eight candidates out of all rows; these are measured
/// in double precision. Memory is that of a tile of 256 by 8,192 numbers, whatever n and m are.
///
/// # Errors
/// If the data have fewer than 2 rows, the samples none, their shapes differ, or a number is not
/// finite.
pub fn nearest(samples: &Tensor, data: &Tensor) -> Result<Nearest> {
    let _guard = tch::no_grad_guard();
    let (samples, data) = sets::pair(("the samples", samples, 1), ("the data", data, 2))?;
    // Around the mean norms are small, and with them the rounding of the products.
    let mean = data.mean_dim(0, true, Kind::Float);
    let mut found = Nearest { indices: vec![], distances: vec![], second: vec![] };
    for chunk in samples.split(QUERIES, 0) {
        let candidates = candidates(&(&chunk - &mean), &data, &mean);
        measure(&chunk, &data, &candidates, &mut found)?;
    }
    Ok(found)
}

impl Nearest {
    /// Nearest over second nearest distance, of each sample: 0 for a copy, near 1 for a new image.
    pub fn ratios(&self) -> Vec<f64> {
        let ratio = |(near, second): (&f64, &f64)| if *second > 0.0 { near / second } else { 1.0 };
        self.distances.iter().zip(&self.second).map(ratio).collect()
    }

    /// The share of samples whose ratio is below [`MEMORISED_RATIO`].
    pub fn memorised(&self) -> f64 {
        let ratios = self.ratios();
        let copies = ratios.iter().filter(|&&r| r < MEMORISED_RATIO).count();
        copies as f64 / ratios.len().max(1) as f64
    }

    /// The median distance to the nearest row.
    pub fn median_distance(&self) -> f64 {
        let mut sorted = self.distances.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => sorted[n / 2],
            n => 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]),
        }
    }
}

/// The rows of `data` with the smallest `‖d‖²/2 − x·d`, `[b, candidates]`: the squared distance up
/// to a factor and a term of `x` alone.
fn candidates(x: &Tensor, data: &Tensor, mean: &Tensor) -> Tensor {
    let (mut best, mut rows): (Option<Tensor>, Option<Tensor>) = (None, None);
    for (number, tile) in data.split(TILE, 0).iter().enumerate() {
        let tile = tile - mean;
        let half_norms = tile.square().sum_dim_intlist(1, false, None::<Kind>) * 0.5;
        let scores = half_norms - x.matmul(&tile.tr());
        let (score, row) = scores.topk(CANDIDATES.min(tile.size()[0]), 1, false, true);
        let row = row + number as i64 * TILE;
        let (all, all_rows) = match (best, rows) {
            (Some(best), Some(rows)) => {
                (Tensor::cat(&[best, score], 1), Tensor::cat(&[rows, row], 1))
            }
            _ => (score, row),
        };
        let (kept, at) = all.topk(CANDIDATES.min(all.size()[1]), 1, false, true);
        rows = Some(all_rows.gather(1, &at, false));
        best = Some(kept);
    }
    // There is at least one tile.
    rows.unwrap_or_default()
}

/// Measures the candidates in double precision and appends the two best of each sample.
fn measure(x: &Tensor, data: &Tensor, rows: &Tensor, found: &mut Nearest) -> Result<()> {
    let (b, k, dim) = (rows.size()[0], rows.size()[1], x.size()[1]);
    let near = data.index_select(0, &rows.flatten(0, -1)).reshape([b, k, dim]);
    let away = near.to_kind(Kind::Double) - x.to_kind(Kind::Double).unsqueeze(1);
    let squares = away.square().sum_dim_intlist(2, false, None::<Kind>);
    let (two, at) = squares.topk(2, 1, false, true);
    let two = tensor::to_f64(&two.sqrt())?;
    let first = at.narrow(1, 0, 1);
    found.indices.extend(tensor::to_i64(&rows.gather(1, &first, false))?);
    found.distances.extend(two.iter().step_by(2));
    found.second.extend(two.iter().skip(1).step_by(2));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use tweedie_torch::tensor::from_f32;

    #[test]
    fn by_hand() {
        let data = from_f32(&[0.0, 0.0, 3.0, 4.0, 0.0, 1.0], &[3, 2]).unwrap();
        let samples = from_f32(&[0.0, 0.25, 3.0, 4.0], &[2, 2]).unwrap();
        let found = nearest(&samples, &data).unwrap();
        assert_eq!(found.indices, [0, 1]);
        assert_eq!(found.distances, [0.25, 0.0]);
        assert_eq!(found.second, [0.75, 18.0_f64.sqrt()]);
        // A third is not below a third.
        assert_eq!(found.memorised(), 0.5);
        assert_eq!(found.median_distance(), 0.125);
    }

    /// More rows than a tile holds, against all distances at once in double precision.
    #[test]
    fn agrees_with_brute_force_across_tiles() {
        let mut generator = tweedie_torch::rng::Generator::new(0).unwrap();
        let data = generator.normal(&[TILE + 500, 6], Kind::Float).unwrap();
        let samples = generator.normal(&[QUERIES + 44, 2, 3], Kind::Float).unwrap();
        let found = nearest(&samples, &data.reshape([-1, 2, 3])).unwrap();
        let (a, b) = (samples.flatten(1, -1).to_kind(Kind::Double), data.to_kind(Kind::Double));
        let away = (a.unsqueeze(1) - b.unsqueeze(0)).square();
        let (two, rows) =
            away.sum_dim_intlist(2, false, None::<Kind>).sqrt().topk(2, 1, false, true);
        assert_eq!(found.indices, tensor::to_i64(&rows.narrow(1, 0, 1)).unwrap());
        let expected = tensor::to_f64(&two).unwrap();
        for (i, two) in expected.chunks(2).enumerate() {
            // The same sums in another order.
            assert!((found.distances[i] - two[0]).abs() < 1e-12);
            assert!((found.second[i] - two[1]).abs() < 1e-12);
        }
    }

    /// A product in single precision would put a copy far from zero.
    #[test]
    fn a_copy_far_from_the_origin_is_at_distance_zero() {
        let mut generator = tweedie_torch::rng::Generator::new(1).unwrap();
        let data = generator.normal(&[50, 300], Kind::Float).unwrap() + 100.0;
        let found = nearest(&data.narrow(0, 7, 2), &data).unwrap();
        assert_eq!(
            (found.indices.as_slice(), found.distances.as_slice()),
            (&[7, 8][..], &[0.0; 2][..])
        );
        assert_eq!(found.memorised(), 1.0);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let one = from_f32(&[0.0, 1.0], &[1, 2]).unwrap();
        let three = from_f32(&[0.0; 6], &[2, 3]).unwrap();
        assert!(matches!(nearest(&one, &one), Err(Error::TooFew { found: 1, needed: 2, .. })));
        assert!(matches!(nearest(&one, &three), Err(Error::Shape { .. })));
        assert!(nearest(&from_f32(&[], &[0, 3]).unwrap(), &three).is_err());
    }
}
