//! A finite data set: the denoiser that a network of boundless capacity would learn.

use crate::{Denoiser, Error, Result};
use tch::{Kind, Tensor};
use tweedie_schedules::NoiseLevel;
use tweedie_torch::tensor;

/// Data that are one of N given points, each as likely: smalldiffusion's `IdealDenoiser`.
///
/// `E[x0 | x] = Σ wᵢ·dᵢ` with `w = softmax(−‖x − alpha·dᵢ‖² / 2sigma²)`. At low noise only a few
/// points have a weight that single precision can see: they are found with a cheaper bound, and
/// the sum goes over those. At high noise it goes over all of them, a tile at a time.
/// Answers have single precision; what comes in another kind goes out in it.
#[derive(Debug)]
pub struct DataSet {
    /// The mean of the points, `[dim]`.
    mean: Tensor,
    /// The points without their mean, `[n, dim]`: the shorter, the less rounding.
    points: Tensor,
    /// `‖d‖²/2` of these, `[n]`
    half_norms: Tensor,
    /// The points once more in the kind that finds the near ones fastest.
    screen: Tensor,
    /// The largest `‖d‖`.
    radius: f64,
    /// The shape of one point.
    shape: Vec<i64>,
}

/// Rows of a tile: with its points it stays in the cache of a core.
const TILE: i64 = 1024;
/// Queries at a time.
const QUERIES: i64 = 256;
/// Up to so many points are weighed in double precision.
const FEW: i64 = 512;
/// All points whose logit is further below the best than `ln(n)` plus this weigh, together, less
/// than the last bit of the sum.
const MARGIN: f64 = 18.0;

impl DataSet {
    /// Takes the points, `[n, …]`.
    pub fn new(points: &Tensor) -> Result<Self> {
        let size = points.size();
        if size.len() < 2 || size.contains(&0) {
            return Err(Error::shape("points", "[n, …] with at least one number", &size));
        }
        if !tensor::all_finite(points)? {
            return Err(Error::invalid("points", "not finite somewhere", "finite numbers"));
        }
        let points = points.detach().flatten(1, -1).to_kind(Kind::Float);
        let mean = points.mean_dim([0].as_slice(), false, None::<Kind>);
        let points = points - &mean;
        let half_norms = points.square().sum_dim_intlist(1, false, None::<Kind>) * 0.5;
        let radius = (2.0 * half_norms.max().double_value(&[])).sqrt();
        let screen = points.to_kind(screening_kind(points.device()));
        Ok(DataSet { mean, points, half_norms, screen, radius, shape: size[1..].to_vec() })
    }

    /// The number of points.
    pub fn count(&self) -> i64 {
        self.points.size()[0]
    }

    /// The posterior means for queries `x`, `[b, dim]`; like the points without their mean.
    fn posterior_mean(&self, x: &Tensor, level: NoiseLevel) -> Tensor {
        let single = 2f64.powi(-20);
        let coarse = if self.screen.kind() == Kind::BFloat16 { 2f64.powi(-8) } else { single };
        let Some(rows) = self.near(x, level, &self.screen, &self.half_norms, coarse) else {
            return self.streamed_mean(x, level);
        };
        let points = self.points.index_select(0, &rows);
        if rows.size()[0] <= FEW {
            return few_mean(x, &points, level);
        }
        let half_norms = self.half_norms.index_select(0, &rows);
        match self.near(x, level, &points, &half_norms, single) {
            Some(rows) => few_mean(x, &points.index_select(0, &rows), level),
            None => few_mean(x, &points, level),
        }
    }

    /// The rows of `points` that may count for any of the queries; `None` if they are many.
    /// Rounding both factors and their product takes 3/2 of `unit` of the product of the norms.
    fn near(
        &self,
        x: &Tensor,
        level: NoiseLevel,
        points: &Tensor,
        half_norms: &Tensor,
        unit: f64,
    ) -> Option<Tensor> {
        let alpha = level.alpha;
        let margin = ((self.count() as f64).ln() + MARGIN) * level.sigma.powi(2);
        let norms = x.square().sum_dim_intlist(1, true, None::<Kind>).sqrt_();
        let slack = norms * (3.1 * unit * alpha * self.radius) + margin;
        let scaled = (x * alpha).to_kind(points.kind());
        let near =
            |score: &Tensor, best: &Tensor| score.ge_tensor(&(best - &slack)).any_dim(0, false);
        let mut scores = vec![];
        for (points, half_norms) in points.split(TILE, 0).iter().zip(half_norms.split(TILE, 0)) {
            let score = score(&scaled, points, &half_norms, alpha);
            if scores.is_empty() {
                // At high noise nearly all count, as the first tile tells.
                let kept = near(&score, &score.amax([1], true)).sum(Kind::Int64).int64_value(&[]);
                if kept * 2 > score.size()[1] {
                    return None;
                }
            }
            scores.push(score);
        }
        let tops: Vec<_> = scores.iter().map(|s| s.amax([1], true)).collect();
        let best = Tensor::cat(&tops, 1).amax([1], true);
        let kept: Vec<_> = scores.iter().map(|s| near(s, &best)).collect();
        let rows = Tensor::cat(&kept, 0).nonzero().squeeze_dim(1);
        (rows.size()[0] * 4 < points.size()[0]).then_some(rows)
    }

    /// The mean over all points, with a running maximum and sum (the online softmax).
    fn streamed_mean(&self, x: &Tensor, level: NoiseLevel) -> Tensor {
        let scaled = x * level.alpha;
        let precision = level.sigma.powi(-2);
        let column = |value: f64| Tensor::full([x.size()[0], 1], value, (Kind::Float, x.device()));
        let (mut best, mut total, mut sum) =
            (column(f64::NEG_INFINITY), column(0.0), x.zeros_like());
        for (points, half_norms) in
            self.points.split(TILE, 0).iter().zip(self.half_norms.split(TILE, 0))
        {
            let mut weights = score(&scaled, points, &half_norms, level.alpha);
            let top = (weights.amax([1], true) * precision).maximum(&best);
            let shrink = (&best - &top).exp_();
            weights = (weights.g_mul_scalar_(precision) - &top).exp_();
            total = total * &shrink + weights.sum_dim_intlist(1, true, None::<Kind>);
            sum = sum.g_mul_(&shrink).addmm_(&weights, points);
            best = top;
        }
        sum / total
    }
}

/// `alpha·x·d − alpha²‖d‖²/2` for a tile of points: `−‖x − alpha·d‖²/2` up to a term of `x` alone,
/// `[b, tile]`. `scaled` is `alpha·x`.
fn score(scaled: &Tensor, points: &Tensor, half_norms: &Tensor, alpha: f64) -> Tensor {
    scaled.matmul(&points.tr()).to_kind(half_norms.kind()) - half_norms * alpha.powi(2)
}

/// The mean over some points, `[k, dim]`; in double precision if they are few: at low noise the
/// logits are differences of large numbers times a large one.
fn few_mean(x: &Tensor, points: &Tensor, level: NoiseLevel) -> Tensor {
    let kind = if points.size()[0] <= FEW { Kind::Double } else { Kind::Float };
    let exact = points.to_kind(kind);
    let half_norms = exact.square().sum_dim_intlist(1, false, None::<Kind>) * 0.5;
    let scaled = x.to_kind(kind) * level.alpha;
    let logits = score(&scaled, &exact, &half_norms, level.alpha) * level.sigma.powi(-2);
    logits.softmax(1, None::<Kind>).to_kind(Kind::Float).matmul(points)
}

/// Half the memory and, where the processor multiplies bf16 itself, a fraction of the time.
fn screening_kind(device: tch::Device) -> Kind {
    let fast = device != tch::Device::Cpu || tweedie_torch::runtime::cpu_features().amx_bf16;
    if fast { Kind::BFloat16 } else { Kind::Float }
}

impl Denoiser for DataSet {
    /// `x` is `[batch, …]` with the points' shape.
    fn denoise(&self, x: &Tensor, level: NoiseLevel) -> Result<Tensor> {
        let size = x.size();
        if size.get(1..) != Some(&self.shape) {
            return Err(Error::shape("x", format!("[batch, {:?}]", self.shape), &size));
        }
        let _guard = tch::no_grad_guard();
        let flat = x.flatten(1, -1).to_kind(Kind::Float) - &self.mean * level.alpha;
        let means: Vec<_> =
            flat.split(QUERIES, 0).iter().map(|x| self.posterior_mean(x, level)).collect();
        Ok((Tensor::cat(&means, 0) + &self.mean).reshape(&size).to_kind(x.kind()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brute_force(points: &Tensor, x: &Tensor, level: NoiseLevel) -> Tensor {
        let (points, x) = (points.to_kind(Kind::Double), x.to_kind(Kind::Double));
        let away = (x.unsqueeze(1) - (&points * level.alpha).unsqueeze(0)).square();
        let logits = away.sum_dim_intlist(-1, false, None::<Kind>) * (-0.5 * level.sigma.powi(-2));
        logits.softmax(1, None::<Kind>).matmul(&points)
    }

    #[test]
    fn agrees_with_brute_force_at_every_level() {
        let _guard = tch::no_grad_guard();
        let mut generator = tweedie_torch::rng::Generator::new(0).unwrap();
        let points = generator.normal(&[500, 20], Kind::Float).unwrap().tanh();
        let set = DataSet::new(&points).unwrap();
        let eps = generator.normal(&[7, 20], Kind::Float).unwrap();
        for sigma in [0.01, 0.05, 0.3, 1.0, 5.0, 20.0] {
            for level in [NoiseLevel::ve(sigma), NoiseLevel::vp(sigma)] {
                let x = points.narrow(0, 0, 7) * level.alpha + &eps * level.sigma;
                let error =
                    (set.denoise(&x, level).unwrap() - brute_force(&points, &x, level)).abs().max();
                // Single precision of the score, 1e-6, over sigma², times the spread of the data.
                assert!(error.double_value(&[]) < 2e-5, "{} at {level:?}", error.double_value(&[]));
            }
        }
    }

    #[test]
    fn at_low_noise_it_answers_with_the_nearest_point() {
        let points = Tensor::from_slice(&[0.0_f32, 0.0, 1.0, 1.0]).reshape([2, 1, 2]);
        let set = DataSet::new(&points).unwrap();
        let x = Tensor::from_slice(&[0.9_f32, 0.8]).reshape([1, 1, 2]);
        let x0 = set.denoise(&x, NoiseLevel::ve(1e-3)).unwrap();
        assert_eq!(tweedie_torch::tensor::to_f32(&x0).unwrap(), [1.0, 1.0]);
        assert!(set.denoise(&x.squeeze_dim(1), NoiseLevel::ve(1.0)).is_err());
    }
}
