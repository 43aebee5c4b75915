//! The Fréchet distance of two Gaussians: Dowson & Landau, "The Fréchet distance between
//! multivariate normal distributions", 1982, eq. 4. On Inception's features it is the FID of
//! Heusel et al., arXiv:1706.08500, eq. 6; on any others it must not be called so.

use crate::{Error, Moments, Result};
use tch::{Kind, Tensor};

/// `‖m₁ − m₂‖² + tr(S₁ + S₂ − 2 (S₁ S₂)^½)`, squared as FID is.
///
/// The reference takes a general matrix root (Schur), whose outcome may be complex or not finite
/// for covariances without full rank (fewer samples than features), and then adds 1e-6 to the
/// diagonals. Here `tr (S₁ S₂)^½` is the sum of the singular values of `S₁^½ S₂^½`, which is the
/// same number (Bhatia, Jain & Lim, 2019, eq. 3), always real, and needs no offset at any rank.
///
/// # Errors
/// If the widths differ, a set has fewer than 2 rows, or the decomposition fails.
pub fn frechet_distance(a: &Moments, b: &Moments) -> Result<f64> {
    let _guard = tch::no_grad_guard();
    if a.dim() != b.dim() {
        return Err(Error::shape("a mean", format!("[{}]", b.dim()), &[a.dim()]));
    }
    let (first, second) = (a.covariance()?, b.covariance()?);
    let means = (a.mean() - b.mean()).square().sum(Kind::Double);
    let traces = first.trace() + second.trace();
    let (_, cross, _) = root(&first)?.matmul(&root(&second)?).f_svd(true, false)?;
    let distance = (means + traces - cross.sum(Kind::Double) * 2.0).double_value(&[]);
    match distance.is_finite() {
        // Equal sets leave the rounding of the traces, of either sign.
        true => Ok(distance.max(0.0)),
        false => Err(Error::NotFinite("the Fréchet distance")),
    }
}

/// The symmetric root of a covariance. Eigenvalues within the rounding of the largest are 0: the
/// root would blow up their noise from 1e-16 to 1e-8 of it.
fn root(covariance: &Tensor) -> Result<Tensor> {
    let (values, vectors) = covariance.f_linalg_eigh("L")?;
    let largest = values.max().double_value(&[]);
    let noise = largest * f64::EPSILON * covariance.size()[0] as f64;
    let roots = values.where_scalarother(&values.gt(noise), 0.0).sqrt();
    Ok((&vectors * roots).matmul(&vectors.tr()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::rng::Generator;
    use tweedie_torch::tensor::from_f64;

    /// Moments as if of a million rows.
    fn given(mean: &[f64], covariance: &Tensor) -> Moments {
        let mean = from_f64(mean, &[mean.len() as i64]).unwrap();
        Moments::from_parts(1_000_001, mean, covariance * 1e6)
    }

    fn diagonal(values: &[f64]) -> Tensor {
        from_f64(values, &[values.len() as i64]).unwrap().diag(0)
    }

    /// Covariances that commute: `Σ (√λ₁ − √λ₂)²`, in a turned basis as in the plain one.
    #[test]
    fn commuting_covariances_have_a_closed_form() {
        let (s, t) = ([4.0, 9.0, 0.25], [1.0, 16.0, 0.0]);
        let expected = 1.0 + 4.0 + (2.0_f64 - 1.0).powi(2) + (3.0_f64 - 4.0).powi(2) + 0.25;
        let any = Generator::new(0).unwrap().normal(&[3, 3], Kind::Double).unwrap();
        let (turn, _) = Tensor::linalg_qr(&any, "reduced");
        for basis in [diagonal(&[1.0; 3]), turn] {
            let turned = |d: &[f64]| basis.matmul(&diagonal(d)).matmul(&basis.tr());
            let (a, b) = (given(&[1.0, 0.0, 2.0], &turned(&s)), given(&[0.0; 3], &turned(&t)));
            let found = frechet_distance(&a, &b).unwrap();
            assert!((found - expected).abs() < 1e-7, "{found} for {expected}");
        }
    }

    #[test]
    fn a_set_is_at_distance_zero_from_itself_and_the_distance_is_symmetric() {
        let mut generator = Generator::new(1).unwrap();
        let x = generator.normal(&[200, 16], Kind::Float).unwrap();
        let y = generator.normal(&[300, 16], Kind::Float).unwrap() * 1.5 + 0.2;
        let (x, y) = (Moments::of(&x).unwrap(), Moments::of(&y).unwrap());
        assert!(frechet_distance(&x, &x).unwrap() < 1e-12);
        let (there, back) = (frechet_distance(&x, &y).unwrap(), frechet_distance(&y, &x).unwrap());
        assert!(there > 1.0 && (there - back).abs() < 1e-10 * there, "{there} and {back}");
    }

    /// Rank 4 of 64: rows that lie in one small subspace, moved by a known way.
    #[test]
    fn covariances_without_full_rank_are_exact() {
        let mut generator = Generator::new(2).unwrap();
        let x = generator.normal(&[5, 64], Kind::Double).unwrap();
        let moved = &x + 0.5;
        let (a, b) = (Moments::of(&x).unwrap(), Moments::of(&moved).unwrap());
        let found = frechet_distance(&a, &b).unwrap();
        // 64 · 0.5², up to the single precision of the rows.
        assert!((found - 16.0).abs() < 1e-5, "{found}");
    }

    #[test]
    fn widths_must_agree() {
        let (a, b) = (given(&[0.0], &diagonal(&[1.0])), given(&[0.0; 2], &diagonal(&[1.0; 2])));
        assert!(matches!(frechet_distance(&a, &b), Err(Error::Shape { .. })));
    }
}
