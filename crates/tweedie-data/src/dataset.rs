//! Samples and labels in memory.

use crate::{Error, Result};
use tch::{Device, Kind, Tensor};

/// Samples `[n, …]` and perhaps a label each.
///
/// Bytes stay bytes in memory and become numbers in [−1, 1] batch by batch.
#[derive(Debug)]
pub struct Dataset {
    x: Tensor,
    labels: Option<Tensor>,
}

/// A part of a [`Dataset`], ready for a network.
#[derive(Debug)]
pub struct Batch {
    /// `[batch, …]`, single precision.
    pub x: Tensor,
    /// `[batch]`, 64-bit integers.
    pub labels: Option<Tensor>,
}

impl Dataset {
    /// Takes samples (`f32`, or bytes that stand for [−1, 1]) and labels (64-bit integers).
    pub fn new(x: Tensor, labels: Option<Tensor>) -> Result<Self> {
        let size = x.size();
        if size.is_empty() || size.contains(&0) {
            return Err(Error::invalid(
                "the shape of the samples",
                format!("{size:?}"),
                "[n, …], not empty",
            ));
        }
        if !matches!(x.kind(), Kind::Float | Kind::Uint8) {
            return Err(Error::invalid(
                "the kind of the samples",
                format!("{:?}", x.kind()),
                "Float or Uint8",
            ));
        }
        let fits = |l: &Tensor| l.size() == [size[0]] && l.kind() == Kind::Int64;
        if let Some(labels) = labels.as_ref().filter(|l| !fits(l)) {
            let found = format!("{:?} of {:?}", labels.size(), labels.kind());
            return Err(Error::invalid("labels", found, format!("[{}] of Int64", size[0])));
        }
        Ok(Dataset { x: x.detach(), labels })
    }

    /// The number of samples; at least 1.
    pub fn count(&self) -> usize {
        self.x.size()[0] as usize
    }

    /// The shape of one sample.
    pub fn sample_shape(&self) -> Vec<i64> {
        self.x.size()[1..].to_vec()
    }

    /// The number of classes, one more than the largest label; none without labels.
    pub fn classes(&self) -> Option<i64> {
        self.labels.as_ref().map(|l| l.max().int64_value(&[]) + 1)
    }

    /// All samples as they are in memory, `[n, …]`.
    pub fn samples(&self) -> &Tensor {
        &self.x
    }

    /// All labels, `[n]`.
    pub fn labels(&self) -> Option<&Tensor> {
        self.labels.as_ref()
    }

    /// The same set on another device: batches are then made there.
    pub fn to_device(&self, device: Device) -> Result<Self> {
        let labels = self.labels.as_ref().map(|l| l.f_to_device(device));
        let labels = labels.transpose().map_err(tweedie_torch::Error::from)?;
        Ok(Dataset { x: self.x.f_to_device(device).map_err(tweedie_torch::Error::from)?, labels })
    }

    /// The same samples in another shape, such as flat ones for an MLP.
    pub fn reshaped(&self, shape: &[i64]) -> Result<Self> {
        let shape: Vec<i64> = [self.count() as i64].iter().chain(shape).copied().collect();
        let x = self.x.f_reshape(&shape).map_err(tweedie_torch::Error::from)?;
        Ok(Dataset { x, labels: self.labels.as_ref().map(Tensor::shallow_clone) })
    }

    /// The samples of these rows, which must be there, in this order.
    pub fn rows(&self, rows: &[i64]) -> Batch {
        let index = Tensor::from_slice(rows).to_device(self.x.device());
        Batch {
            x: to_unit(self.x.index_select(0, &index)),
            labels: self.labels.as_ref().map(|l| l.index_select(0, &index)),
        }
    }

    /// Everything, in order. Samples of single precision are shared, not copied.
    pub fn all(&self) -> Batch {
        Batch {
            x: to_unit(self.x.shallow_clone()),
            labels: self.labels.as_ref().map(Tensor::shallow_clone),
        }
    }

    pub(crate) fn shallow_clone(&self) -> Self {
        Dataset {
            x: self.x.shallow_clone(),
            labels: self.labels.as_ref().map(Tensor::shallow_clone),
        }
    }
}

/// Bytes to [−1, 1]; everything else stays.
fn to_unit(x: Tensor) -> Tensor {
    match x.kind() {
        Kind::Uint8 => (x.to_kind(Kind::Float) / 127.5).g_sub_scalar_(1.0),
        _ => x,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::tensor::{from_f32, from_i64, from_u8, to_f32, to_i64};

    #[test]
    fn bytes_become_numbers_from_minus_one_to_one() {
        let x = from_u8(&[0, 255, 51, 204], &[4, 1]).unwrap();
        let set = Dataset::new(x, Some(from_i64(&[3, 0, 1, 2], &[4]).unwrap())).unwrap();
        let batch = set.rows(&[1, 0]);
        assert_eq!(to_f32(&batch.x).unwrap(), [1.0, -1.0]);
        assert_eq!(to_i64(&batch.labels.unwrap()).unwrap(), [0, 3]);
        assert_eq!((set.classes(), set.count()), (Some(4), 4));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let x = || from_f32(&[1.0, 2.0], &[2, 1]).unwrap();
        assert!(Dataset::new(from_f32(&[], &[0, 2]).unwrap(), None).is_err());
        assert!(Dataset::new(x().to_kind(Kind::Double), None).is_err());
        assert!(Dataset::new(x(), Some(from_i64(&[1], &[1]).unwrap())).is_err());
        assert!(Dataset::new(x(), None).unwrap().reshaped(&[5]).is_err());
    }
}
