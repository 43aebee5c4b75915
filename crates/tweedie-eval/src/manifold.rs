//! Improved precision and recall: Kynkäänniemi et al., "Improved precision and recall metric for
//! assessing generative models", arXiv:1904.06991, algorithm 1.
//!
//! The manifold of a set is the union of balls around its members, each as wide as the distance to
//! its k-th nearest neighbour. Precision is the share of samples within the manifold of the data,
//! recall the share of the data within that of the samples.

use crate::kernel::square_distances;
use crate::{Error, Result, sets};
use tch::{Kind, Tensor};

/// Neighbours, as in the paper.
pub const NEIGHBOURS: usize = 3;

/// Shares, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrecisionRecall {
    /// Of the samples, how many look like data.
    pub precision: f64,
    /// Of the data, how much the samples reach.
    pub recall: f64,
}

/// Rows and columns of a tile.
const TILE: i64 = 2048;

/// Precision and recall of features `[n, dim]` of samples and `[m, dim]` of data, with balls that
/// reach to the `neighbours`-th nearest other member. The paper takes as many of both; balls grow
/// as sets shrink, so only equal numbers compare.
///
/// Distances are in double precision, a tile of 2,048 rows and columns at a time.
///
/// # Errors
/// If a set does not have more rows than `neighbours`, that is 0, or widths differ.
pub fn precision_recall(
    samples: &Tensor,
    data: &Tensor,
    neighbours: usize,
) -> Result<PrecisionRecall> {
    let _guard = tch::no_grad_guard();
    if neighbours == 0 {
        return Err(Error::invalid("the number of neighbours", 0, "at least 1"));
    }
    let needed = neighbours.saturating_add(1);
    let (samples, data) = sets::pair(
        ("the features of the samples", samples, needed),
        ("those of the data", data, needed),
    )?;
    let mean = data.mean_dim(0, true, Kind::Double);
    let centred = |set: &Tensor| set.to_kind(Kind::Double) - &mean;
    let (samples, data) = (centred(&samples), centred(&data));
    let k = neighbours as i64;
    let precision = share_within(&samples, &data, &square_radii(&data, k));
    let recall = share_within(&data, &samples, &square_radii(&samples, k));
    Ok(PrecisionRecall { precision, recall })
}

/// The squared distance of each row to its k-th nearest other row, `[1, n]`.
fn square_radii(set: &Tensor, k: i64) -> Tensor {
    let mut radii = vec![];
    for rows in set.split(TILE, 0) {
        // A row is its own nearest.
        let mut best: Option<Tensor> = None;
        for others in set.split(TILE, 0) {
            let mut squares = square_distances(&rows, &others);
            if let Some(best) = best {
                squares = Tensor::cat(&[best, squares], 1);
            }
            best = Some(squares.topk((k + 1).min(squares.size()[1]), 1, false, true).0);
        }
        radii.extend(best.map(|best| best.narrow(1, k, 1)));
    }
    Tensor::cat(&radii, 0).tr()
}

/// The share of `queries` within a ball around any row of `set`.
fn share_within(queries: &Tensor, set: &Tensor, square_radii: &Tensor) -> f64 {
    let mut within = 0.0;
    for rows in queries.split(TILE, 0) {
        let mut any = Tensor::zeros([rows.size()[0]], (Kind::Bool, set.device()));
        for (others, radii) in set.split(TILE, 0).iter().zip(square_radii.split(TILE, 1)) {
            let inside = square_distances(&rows, others).le_tensor(&radii);
            any = any.logical_or(&inside.any_dim(1, false));
        }
        within += any.sum(Kind::Double).double_value(&[]);
    }
    within / queries.size()[0] as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::rng::Generator;
    use tweedie_torch::tensor::from_f32;

    /// Points on a line, one neighbour: the balls of 0, 1, 3 reach 1, 1 and 2.
    #[test]
    fn by_hand() {
        let data = from_f32(&[0.0, 1.0, 3.0], &[3, 1]).unwrap();
        let samples = from_f32(&[-0.5, 4.5, 5.5, 9.0], &[4, 1]).unwrap();
        // -0.5 and 4.5 lie in balls of the data; those of the samples reach 5, 1, 1 and 3.5.
        let found = precision_recall(&samples, &data, 1).unwrap();
        assert_eq!(found, PrecisionRecall { precision: 0.5, recall: 1.0 });
        let one_place = from_f32(&[0.9, 1.0, 1.1], &[3, 1]).unwrap();
        let found = precision_recall(&one_place, &data, 1).unwrap();
        assert_eq!(found, PrecisionRecall { precision: 1.0, recall: 1.0 / 3.0 });
    }

    #[test]
    fn a_set_is_its_own_manifold_and_a_far_one_is_not() {
        let x = Generator::new(0).unwrap().normal(&[TILE + 100, 4], Kind::Float).unwrap();
        let same = precision_recall(&x, &x, NEIGHBOURS).unwrap();
        assert_eq!(same, PrecisionRecall { precision: 1.0, recall: 1.0 });
        let far = precision_recall(&(&x + 100.0), &x, NEIGHBOURS).unwrap();
        assert_eq!(far, PrecisionRecall { precision: 0.0, recall: 0.0 });
    }

    #[test]
    fn sets_must_be_larger_than_the_neighbourhood() {
        let x = Generator::new(0).unwrap().normal(&[3, 2], Kind::Float).unwrap();
        assert!(matches!(
            precision_recall(&x, &x, 3),
            Err(Error::TooFew { found: 3, needed: 4, .. })
        ));
        assert!(precision_recall(&x, &x, 0).is_err());
    }
}
