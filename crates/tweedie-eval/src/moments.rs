//! Mean and covariance of features in one pass, in double precision, and in parts that merge.

use crate::{Error, Result, sets};
use tch::{Device, Kind, Tensor};

/// Number, mean and scatter of rows: all that the Fréchet distance asks of a set.
///
/// Parts are merged by Chan, Golub & LeVeque's update ("Updating formulae and a pairwise algorithm
/// for computing sample variances", 1979, eq. 2.1), which keeps its digits where sums of squares
/// lose them.
#[derive(Debug)]
pub struct Moments {
    count: u64,
    /// `[dim]`, double precision.
    mean: Tensor,
    /// `Σ (x − mean)(x − mean)ᵀ`, `[dim, dim]`, double precision.
    scatter: Tensor,
}

impl Moments {
    /// Of no rows yet, of `dim` numbers each.
    ///
    /// # Errors
    /// If `dim` is not positive or its square does not fit in memory.
    pub fn new(dim: i64) -> Result<Self> {
        if dim < 1 {
            return Err(Error::invalid("the number of features", dim, "at least 1"));
        }
        tweedie_torch::tensor::elements(&[dim, dim])?;
        let double = (Kind::Double, Device::Cpu);
        let (mean, scatter) =
            (Tensor::f_zeros([dim], double)?, Tensor::f_zeros([dim, dim], double)?);
        Ok(Moments { count: 0, mean, scatter })
    }

    /// Of the rows of `[n, dim]`.
    pub fn of(rows: &Tensor) -> Result<Self> {
        let mut moments = Moments::new(rows.size().get(1).copied().unwrap_or(0))?;
        moments.add(rows)?;
        Ok(moments)
    }

    pub(crate) fn from_parts(count: u64, mean: Tensor, scatter: Tensor) -> Self {
        Moments { count, mean, scatter }
    }

    /// Takes rows, `[n, dim]`, a chunk of a set after the other.
    ///
    /// # Errors
    /// If they have another width or a number is not finite; nothing is changed then.
    pub fn add(&mut self, rows: &Tensor) -> Result<()> {
        const CHUNK: i64 = 4096;
        let _guard = tch::no_grad_guard();
        let size = rows.size();
        if size.len() != 2 || size[1] != self.dim() {
            return Err(Error::shape("features", format!("[n, {}]", self.dim()), &size));
        }
        for rows in sets::rows("features", rows, 1)?.split(CHUNK, 0) {
            let rows = rows.to_kind(Kind::Double);
            let mean = rows.mean_dim(0, false, None::<Kind>);
            let away = &rows - &mean;
            let scatter = away.tr().matmul(&away).to_device(Device::Cpu);
            let count = rows.size()[0] as u64;
            self.merge(&Moments { count, mean: mean.to_device(Device::Cpu), scatter })?;
        }
        Ok(())
    }

    /// Takes the rows of another part of the set.
    ///
    /// # Errors
    /// If they have another width.
    pub fn merge(&mut self, other: &Moments) -> Result<()> {
        if other.dim() != self.dim() {
            return Err(Error::shape("a mean", format!("[{}]", self.dim()), &[other.dim()]));
        }
        if other.count == 0 {
            return Ok(());
        }
        let (n, m) = (self.count as f64, other.count as f64);
        let away = &other.mean - &self.mean;
        let between = away.outer(&away) * (n * m / (n + m));
        self.scatter = &self.scatter + &other.scatter + between;
        self.mean = &self.mean + away * (m / (n + m));
        self.count += other.count;
        Ok(())
    }

    /// The number of rows.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The numbers in a row.
    pub fn dim(&self) -> i64 {
        self.mean.size()[0]
    }

    /// `[dim]`, double precision, on the CPU.
    pub fn mean(&self) -> &Tensor {
        &self.mean
    }

    pub(crate) fn scatter(&self) -> &Tensor {
        &self.scatter
    }

    /// The unbiased covariance, as `np.cov` gives it: `[dim, dim]`, double precision, on the CPU.
    ///
    /// # Errors
    /// Of fewer than 2 rows.
    pub fn covariance(&self) -> Result<Tensor> {
        if self.count < 2 {
            let found = self.count as usize;
            return Err(Error::TooFew { what: "a covariance", found, needed: 2 });
        }
        Ok(&self.scatter / (self.count - 1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::tensor::{from_f32, to_f64};

    #[test]
    fn by_hand() {
        let rows = from_f32(&[1.0, 2.0, 3.0, 6.0, 5.0, 1.0], &[3, 2]).unwrap();
        let moments = Moments::of(&rows).unwrap();
        assert_eq!(to_f64(moments.mean()).unwrap(), [3.0, 3.0]);
        // np.cov([[1, 3, 5], [2, 6, 1]])
        let expected = [4.0, -1.0, -1.0, 7.0];
        for (ours, theirs) in to_f64(&moments.covariance().unwrap()).unwrap().iter().zip(expected) {
            assert!((ours - theirs).abs() < 1e-14, "{ours} for {theirs}");
        }
    }

    /// A mean a million times the spread: sums of squares in double precision would keep four
    /// digits of the covariance.
    #[test]
    fn parts_merge_to_the_whole() {
        let mut generator = tweedie_torch::rng::Generator::new(0).unwrap();
        let rows = generator.normal(&[5000, 3], Kind::Float).unwrap() + 1e6;
        let whole = Moments::of(&rows).unwrap();
        let mut parts = Moments::new(3).unwrap();
        for part in [rows.narrow(0, 0, 1), rows.narrow(0, 1, 999), rows.narrow(0, 1000, 4000)] {
            parts.merge(&Moments::of(&part).unwrap()).unwrap();
        }
        let double = rows.to_kind(Kind::Double);
        let away = &double - double.mean_dim(0, true, None::<Kind>);
        let expected = away.tr().matmul(&away) / 4999.0;
        for moments in [whole, parts] {
            let error = (moments.covariance().unwrap() - &expected).abs().max();
            // The mean is rounded at 1e-10; it enters squared.
            assert!(error.double_value(&[]) < 1e-11, "{}", error.double_value(&[]));
            assert_eq!(moments.count(), 5000);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let row = from_f32(&[1.0, 2.0], &[1, 2]).unwrap();
        assert!(matches!(Moments::of(&row).unwrap().covariance(), Err(Error::TooFew { .. })));
        assert!(Moments::new(3).unwrap().add(&row).is_err());
        assert!(Moments::new(0).is_err() && Moments::new(i64::MAX).is_err());
        assert!(Moments::of(&from_f32(&[f32::INFINITY], &[1, 1]).unwrap()).is_err());
    }
}
