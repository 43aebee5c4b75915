//! Kernel distances between sets: both are unbiased estimates of a squared maximum mean
//! discrepancy (Gretton et al., "A kernel two-sample test", JMLR 2012, eq. 3), so they can be
//! slightly negative where the sets are alike.
//!
//! - [`kernel_distance`]: the polynomial kernel on features; on Inception's it is the KID of
//!   Bińkowski et al., "Demystifying MMD GANs", arXiv:1801.01401, section 4.1.
//! - [`mmd`]: Gaussian kernels of several widths, on pixels.

use crate::{Error, Result, sets};
use serde::Serialize;
use tch::{Kind, Tensor};
use tweedie_torch::rng::Generator;

/// The settings of [`kernel_distance`]; the defaults are those of the authors' code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KernelConfig {
    /// How many subsets are drawn.
    pub subsets: usize,
    /// Rows of a subset; fewer if a set has fewer.
    pub subset_size: usize,
    /// Decides which rows.
    pub seed: u64,
}

impl Default for KernelConfig {
    fn default() -> Self {
        KernelConfig { subsets: 100, subset_size: 1000, seed: 0 }
    }
}

/// The mean over the subsets, and their spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KernelDistance {
    /// The estimate: what is reported.
    pub mean: f64,
    /// Standard deviation over the subsets, which share rows.
    pub std: f64,
    /// Subsets taken: 1 if both sets fit into one.
    pub subsets: usize,
    /// Rows of each.
    pub subset_size: usize,
}

/// Squared MMD with the kernel `(x·y / dim + 1)³` of features `[n, dim]` and `[m, dim]`, averaged
/// over random subsets without repetition.
///
/// # Errors
/// If a set has fewer than 2 rows, widths differ, or a setting is too small.
pub fn kernel_distance(x: &Tensor, y: &Tensor, config: &KernelConfig) -> Result<KernelDistance> {
    let _guard = tch::no_grad_guard();
    let (x, y) = sets::pair(("the features of the samples", x, 2), ("those of the data", y, 2))?;
    let least = x.size()[0].min(y.size()[0]);
    let size = i64::try_from(config.subset_size).unwrap_or(i64::MAX).min(least);
    if config.subsets == 0 || size < 2 {
        let found = format!("{} of {}", config.subsets, config.subset_size);
        return Err(Error::invalid(
            "the subsets of a kernel distance",
            found,
            "1 or more of 2 or more",
        ));
    }
    let whole = size == x.size()[0] && size == y.size()[0];
    let subsets = if whole { 1 } else { config.subsets };
    let mut generator = Generator::new(config.seed)?;
    let mut estimates = Vec::with_capacity(subsets);
    for _ in 0..subsets {
        let mut draw = |set: &Tensor| -> Result<Tensor> {
            let rows = generator.permutation(set.size()[0])?.narrow(0, 0, size);
            Ok(set.index_select(0, &rows.to_device(set.device())).to_kind(Kind::Double))
        };
        let (x, y) = (draw(&x)?, draw(&y)?);
        estimates.push(unbiased(&cubic(&x, &x), &cubic(&y, &y), &cubic(&x, &y)));
    }
    let n = subsets as f64;
    let mean = estimates.iter().sum::<f64>() / n;
    let std = (estimates.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / n).sqrt();
    Ok(KernelDistance { mean, std, subsets, subset_size: size as usize })
}

fn cubic(x: &Tensor, y: &Tensor) -> Tensor {
    let kernel = x.matmul(&y.tr()) / x.size()[1] as f64 + 1.0;
    &kernel * &kernel * kernel
}

/// From the three kernel matrices.
fn unbiased(xx: &Tensor, yy: &Tensor, xy: &Tensor) -> f64 {
    let within = |k: &Tensor| {
        let n = k.size()[0] as f64;
        (k.sum(Kind::Double) - k.trace()).double_value(&[]) / (n * (n - 1.0))
    };
    within(xx) + within(yy) - 2.0 * xy.mean(Kind::Double).double_value(&[])
}

/// Widths of the kernels of [`mmd`] in units of the median distance.
pub const WIDTHS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];
/// Rows that the median distance is taken of.
const MEDIAN_ROWS: i64 = 1000;
/// Rows and columns of a tile.
const TILE: i64 = 2048;

/// Squared MMD of `[n, …]` and `[m, …]` with the mean of five Gaussian kernels
/// `exp(−‖x − y‖² / 2(w·median)²)`, `w` in [`WIDTHS`]. The median is that of the distances within
/// the first 1,000 rows of `data`, so that it does not depend on what is measured.
///
/// In double precision, a tile of 2,048 rows and columns at a time.
///
/// # Errors
/// If a set has fewer than 2 rows, widths differ, or all of those rows are the same.
pub fn mmd(samples: &Tensor, data: &Tensor) -> Result<f64> {
    let _guard = tch::no_grad_guard();
    let (x, y) = sets::pair(("the samples", samples, 2), ("the data", data, 2))?;
    let mean = y.mean_dim(0, true, Kind::Double);
    let (x, y) = (x.to_kind(Kind::Double) - &mean, y.to_kind(Kind::Double) - &mean);
    let median = median_distance(&y)?;
    let (n, m) = (x.size()[0] as f64, y.size()[0] as f64);
    // Every row is at distance 0 from itself: those terms are left out of the unbiased estimate.
    let within = |set: &Tensor, n: f64| (kernel_sum(set, set, median) - n) / (n * (n - 1.0));
    Ok(within(&x, n) + within(&y, m) - 2.0 * kernel_sum(&x, &y, median) / (n * m))
}

fn median_distance(data: &Tensor) -> Result<f64> {
    let rows = data.narrow(0, 0, data.size()[0].min(MEDIAN_ROWS));
    let n = rows.size()[0];
    let squares = square_distances(&rows, &rows);
    let above = Tensor::ones([n, n], (Kind::Bool, data.device())).triu(1);
    let median = squares.masked_select(&above).median().double_value(&[]).sqrt();
    match median > 0.0 {
        true => Ok(median),
        false => Err(Error::invalid("the median distance within the data", median, "more than 0")),
    }
}

/// `[n, m]`, never negative.
pub(crate) fn square_distances(x: &Tensor, y: &Tensor) -> Tensor {
    let norms = |t: &Tensor| t.square().sum_dim_intlist(1, true, None::<Kind>);
    (norms(x) + norms(y).tr() - x.matmul(&y.tr()) * 2.0).clamp_min(0.0)
}

fn kernel_sum(x: &Tensor, y: &Tensor, median: f64) -> f64 {
    let mut sum = 0.0;
    for x in x.split(TILE, 0) {
        for y in y.split(TILE, 0) {
            // The widest kernel; each narrower one, of half the width, is its fourth power.
            let widest = WIDTHS[WIDTHS.len() - 1] * median;
            let mut kernel = (square_distances(&x, &y) * (-0.5 * widest.powi(-2))).exp_();
            for narrower in 0..WIDTHS.len() {
                if narrower > 0 {
                    kernel = kernel.square().square();
                }
                sum += kernel.sum(Kind::Double).double_value(&[]) / WIDTHS.len() as f64;
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::tensor::from_f32;

    fn normal(seed: u64, shape: [i64; 2]) -> Tensor {
        Generator::new(seed).unwrap().normal(&shape, Kind::Float).unwrap()
    }

    /// Two points each, on a line: the kernel is (xy + 1)³.
    #[test]
    fn kernel_distance_by_hand() {
        let x = from_f32(&[0.0, 1.0], &[2, 1]).unwrap();
        let y = from_f32(&[1.0, 2.0], &[2, 1]).unwrap();
        // k(0,1) = 1; k(1,2) = 27; cross: k(0,1) = 1, k(0,2) = 1, k(1,1) = 8, k(1,2) = 27.
        let found = kernel_distance(&x, &y, &KernelConfig::default()).unwrap();
        assert_eq!(found.mean, 1.0 + 27.0 - 2.0 * 37.0 / 4.0);
        assert_eq!((found.subsets, found.subset_size, found.std), (1, 2, 0.0));
    }

    /// Unbiased: the mean over pairs of sets of one distribution is 0.
    #[test]
    fn sets_of_one_distribution_are_at_zero_on_average() {
        let config = KernelConfig { subsets: 4, subset_size: 50, seed: 0 };
        let (mut poly, mut gauss, mut apart) = (vec![], vec![], f64::INFINITY);
        for seed in 0..30 {
            let (x, y) = (normal(2 * seed, [60, 8]), normal(2 * seed + 1, [70, 8]));
            poly.push(kernel_distance(&x, &y, &config).unwrap().mean);
            gauss.push(mmd(&x, &y).unwrap());
            apart = apart.min(mmd(&(x + 1.0), &y).unwrap());
        }
        for values in [&poly, &gauss] {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let error = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n / n).sqrt();
            assert!(mean.abs() < 4.0 * error, "{mean} with a standard error of {error}");
            assert!(values.iter().any(|v| *v < 0.0));
        }
        assert!(apart > gauss.iter().copied().fold(0.0, f64::max), "{apart}");
    }

    /// Two points each, on a line: distances within the data are 2, and so is their median.
    #[test]
    fn mmd_by_hand() {
        let x = from_f32(&[0.0, 1.0], &[2, 1]).unwrap();
        let y = from_f32(&[0.0, 2.0], &[2, 1]).unwrap();
        let k = |d: f64| {
            WIDTHS.iter().map(|w| (-d * d / (2.0 * (2.0 * w).powi(2))).exp()).sum::<f64>() / 5.0
        };
        let expected = k(1.0) + k(2.0) - 2.0 * (k(0.0) + k(2.0) + k(1.0) + k(1.0)) / 4.0;
        let found = mmd(&x, &y).unwrap();
        assert!((found - expected).abs() < 1e-14, "{found} for {expected}");
    }

    #[test]
    fn tiles_do_not_matter() {
        let (x, y) = (normal(0, [TILE + 30, 2]), normal(1, [TILE + 1, 2]));
        let whole = (square_distances(&x.to_kind(Kind::Double), &y.to_kind(Kind::Double)) * -0.5
            / 16.0)
            .exp();
        let mut kernel = whole;
        let mut sum = kernel.sum(Kind::Double).double_value(&[]);
        for _ in 1..5 {
            kernel = kernel.pow_tensor_scalar(4.0);
            sum += kernel.sum(Kind::Double).double_value(&[]);
        }
        let tiled = kernel_sum(&x.to_kind(Kind::Double), &y.to_kind(Kind::Double), 1.0);
        assert!((tiled * 5.0 / sum - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let (x, same) = (normal(0, [5, 2]), from_f32(&[1.0; 10], &[5, 2]).unwrap());
        assert!(mmd(&x, &same).unwrap_err().to_string().contains("median distance"));
        let none = KernelConfig { subsets: 0, ..Default::default() };
        assert!(kernel_distance(&x, &x, &none).is_err());
        let one = KernelConfig { subset_size: 1, ..Default::default() };
        assert!(kernel_distance(&x, &x, &one).is_err());
        assert!(matches!(mmd(&normal(0, [1, 2]), &x), Err(Error::TooFew { .. })));
    }
}
