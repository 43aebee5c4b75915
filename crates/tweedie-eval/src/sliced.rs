//! The sliced Wasserstein distance: Rabin et al., "Wasserstein barycenter and its application to
//! texture mixing", 2011; Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures",
//! 2015, section 3. On pixels it needs no network.

use crate::{Error, Result, sets};
use std::cmp::Ordering;
use tch::{Kind, Tensor};
use tweedie_core::noise::{normals, philox::Key};
use tweedie_torch::tensor;

/// The stream of the directions, beside those of `tweedie_core::noise::stream`.
const STREAM: u32 = 0x736c_6963;

/// Directions in one product.
const CHUNK: usize = 64;

/// `(E W₂²)^½` over random directions of `[n, …]` and `[m, …]` projected to a line, in the units
/// of the pixels. n and m may differ: the distance on a line is exact, between the step functions
/// of the quantiles.
///
/// Direction k is a function of seed and k alone.
///
/// # Errors
/// If a set is empty, widths differ, or there are no projections.
pub fn sliced_wasserstein(
    samples: &Tensor,
    data: &Tensor,
    projections: usize,
    seed: u64,
) -> Result<f64> {
    let _guard = tch::no_grad_guard();
    let (x, y) = sets::pair(("the samples", samples, 1), ("the data", data, 1))?;
    if projections == 0 {
        return Err(Error::invalid("the number of projections", 0, "at least 1"));
    }
    let steps = Steps::new(x.size()[0], y.size()[0], &x)?;
    let mut sum = 0.0;
    for first in (0..projections).step_by(CHUNK) {
        let count = CHUNK.min(projections - first);
        let directions = directions(x.size()[1], first, count, seed)?.to_device(x.device());
        sum += steps.squares(&x.matmul(&directions), &y.matmul(&directions));
    }
    Ok((sum / projections as f64).sqrt())
}

/// Unit vectors, uniform on the sphere, `[dim, count]`.
fn directions(dim: i64, first: usize, count: usize, seed: u64) -> Result<Tensor> {
    let mut values = vec![0.0; dim as usize * count];
    for (k, values) in values.chunks_mut(dim as usize).enumerate() {
        normals(Key { seed, stream: STREAM, sample: (first + k) as u32, draw: 0 }, values);
    }
    let rows = tensor::from_f32(&values, &[count as i64, dim])?;
    let norms = rows.square().sum_dim_intlist(1, true, None::<Kind>).sqrt();
    Ok((rows / norms).tr())
}

/// Where the quantile functions of n and m values step: between two steps both are constant.
struct Steps {
    /// The value of the first set that belongs to an interval.
    first: Tensor,
    /// That of the second.
    second: Tensor,
    /// The length of the interval, `[1, intervals]`.
    lengths: Tensor,
}

impl Steps {
    fn new(n: i64, m: i64, like: &Tensor) -> Result<Self> {
        let (mut i, mut j, mut at) = (0_i64, 0_i64, 0.0);
        let (mut first, mut second, mut lengths) = (vec![], vec![], vec![]);
        while i < n && j < m {
            first.push(i);
            second.push(j);
            // Ends of the intervals i/n and j/m, compared as whole numbers.
            let order =
                (i128::from(i + 1) * i128::from(m)).cmp(&(i128::from(j + 1) * i128::from(n)));
            let end = match order {
                Ordering::Greater => (j + 1) as f64 / m as f64,
                _ => (i + 1) as f64 / n as f64,
            };
            lengths.push(end - at);
            at = end;
            i += i64::from(order != Ordering::Greater);
            j += i64::from(order != Ordering::Less);
        }
        let count = lengths.len() as i64;
        let rows =
            |v: &[i64]| Ok::<_, Error>(tensor::from_i64(v, &[count])?.to_device(like.device()));
        let lengths = tensor::from_f64(&lengths, &[1, count])?.to_device(like.device());
        Ok(Steps { first: rows(&first)?, second: rows(&second)?, lengths })
    }

    /// The sum over the columns of `[n, count]` and `[m, count]` of `W₂²`.
    fn squares(&self, x: &Tensor, y: &Tensor) -> f64 {
        let sorted = |t: &Tensor| t.tr().contiguous().sort(1, false).0.to_kind(Kind::Double);
        let away = sorted(x).index_select(1, &self.first) - sorted(y).index_select(1, &self.second);
        (away.square() * &self.lengths).sum(Kind::Double).double_value(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::rng::Generator;
    use tweedie_torch::tensor::from_f32;

    /// On a line every direction is ±1, and the distance is that of the quantile functions.
    #[test]
    fn on_a_line_by_hand() {
        let x = from_f32(&[3.0, 0.0], &[2, 1]).unwrap();
        let y = from_f32(&[1.0, 1.0, 4.0], &[3, 1]).unwrap();
        // Thirds and halves: 0 → 1 for 1/3 + 1/6, 3 → 1 for 1/6, 3 → 4 for 1/3.
        let expected = (0.5_f64 + 4.0 / 6.0 + 1.0 / 3.0).sqrt();
        let found = sliced_wasserstein(&x, &y, 3, 0).unwrap();
        assert!((found - expected).abs() < 1e-7, "{found} for {expected}");
        assert!((sliced_wasserstein(&y, &x, 3, 1).unwrap() - expected).abs() < 1e-7);
    }

    /// A shift by v has `W₂² = (v·θ)²`, whose mean over the sphere is `‖v‖² / dim`.
    #[test]
    fn a_shift_has_a_closed_form() {
        let x = Generator::new(0).unwrap().normal(&[100, 2, 8], Kind::Float).unwrap();
        let found = sliced_wasserstein(&(&x + 0.5), &x, 4000, 0).unwrap();
        // (v·θ)² · dim/‖v‖² has variance 2(d−1)/(d+2) = 1.67: half of 4 standard errors, 0.04.
        assert!((found / 0.5 - 1.0).abs() < 0.05, "{found}");
        assert_eq!(sliced_wasserstein(&x, &x, 10, 0).unwrap(), 0.0);
    }

    /// A set with each row twice is the same measure.
    #[test]
    fn repeated_rows_change_nothing() {
        let mut generator = Generator::new(1).unwrap();
        let x = generator.normal(&[37, 5], Kind::Float).unwrap();
        let y = generator.normal(&[50, 5], Kind::Float).unwrap();
        let once = sliced_wasserstein(&x, &y, 70, 2).unwrap();
        let twice = sliced_wasserstein(&Tensor::cat(&[&x, &x], 0), &y, 70, 2).unwrap();
        // The lengths of the intervals are rounded otherwise, and the products.
        assert!((once - twice).abs() < 1e-6 * once, "{once} and {twice}");
        assert_ne!(once, sliced_wasserstein(&x, &y, 70, 3).unwrap());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let x = from_f32(&[3.0, 0.0], &[2, 1]).unwrap();
        assert!(sliced_wasserstein(&x, &x, 0, 0).is_err());
        assert!(sliced_wasserstein(&x, &x.reshape([1, 2]), 1, 0).is_err());
    }
}
