//! What a network is told beside the noisy data.

use crate::{Error, Result};
use tch::{Device, Kind, Tensor};

/// A condition: each part is there or not, and a network refuses what it cannot take.
#[derive(Debug, Default)]
pub struct Cond {
    /// Class labels, `[batch]`, 64-bit integers.
    pub class: Option<Tensor>,
    /// Tokens to attend to, `[batch, length, dim]`.
    pub context: Option<Tensor>,
    /// A pooled vector, `[batch, dim]`.
    pub vector: Option<Tensor>,
}

impl Cond {
    /// Class labels, `[batch]`.
    pub fn class(labels: &[i64]) -> Self {
        Cond { class: Some(Tensor::from_slice(labels)), ..Default::default() }
    }

    /// Class labels that are a tensor already, `[batch]` of 64-bit integers.
    pub fn labels(labels: Tensor) -> Self {
        Cond { class: Some(labels), ..Default::default() }
    }

    /// The same class for a whole batch.
    pub fn class_of(label: i64, batch: i64, device: Device) -> Self {
        Self::labels(Tensor::full([batch], label, (Kind::Int64, device)))
    }

    /// The number of samples that it is for; `None` if it is empty.
    pub fn batch(&self) -> Option<i64> {
        self.parts().into_iter().flatten().map(|t| t.size().first().copied().unwrap_or(0)).next()
    }

    /// The same condition; its tensors are shared.
    pub fn shallow_clone(&self) -> Self {
        let clone = |t: &Option<Tensor>| t.as_ref().map(Tensor::shallow_clone);
        Cond {
            class: clone(&self.class),
            context: clone(&self.context),
            vector: clone(&self.vector),
        }
    }

    /// The same condition on `device`.
    pub fn to_device(&self, device: Device) -> Self {
        let to = |t: &Option<Tensor>| t.as_ref().map(|t| t.to_device(device));
        Cond { class: to(&self.class), context: to(&self.context), vector: to(&self.vector) }
    }

    /// Two conditions, one behind the other along the batch.
    ///
    /// # Errors
    /// If one has a part that the other lacks, or parts of other shapes.
    pub fn cat(&self, other: &Cond) -> Result<Cond> {
        let cat = |what: &'static str, a: &Option<Tensor>, b: &Option<Tensor>| match (a, b) {
            (None, None) => Ok(None),
            (Some(a), Some(b)) if same_but_batch(a, b) => Ok(Some(Tensor::cat(&[a, b], 0))),
            (Some(a), Some(b)) => Err(Error::shape(what, format!("{:?}", a.size()), &b.size())),
            _ => Err(Error::Condition(format!("{what} is given for one branch only"))),
        };
        Ok(Cond {
            class: cat("class", &self.class, &other.class)?,
            context: cat("context", &self.context, &other.context)?,
            vector: cat("vector", &self.vector, &other.vector)?,
        })
    }

    /// The whole condition `times` times, one behind the other along the batch.
    pub fn repeated(&self, times: i64) -> Cond {
        let repeat = |t: &Option<Tensor>| {
            t.as_ref().map(|t| {
                let once = std::iter::repeat_n(1, t.dim().saturating_sub(1));
                t.repeat([times.max(0)].into_iter().chain(once).collect::<Vec<_>>())
            })
        };
        Cond {
            class: repeat(&self.class),
            context: repeat(&self.context),
            vector: repeat(&self.vector),
        }
    }

    /// That every part is for `batch` samples.
    pub fn check_batch(&self, batch: i64) -> Result<()> {
        for t in self.parts().into_iter().flatten() {
            if t.size().first() != Some(&batch) {
                return Err(Error::shape("condition", format!("[{batch}, …]"), &t.size()));
            }
        }
        Ok(())
    }

    fn parts(&self) -> [Option<&Tensor>; 3] {
        [self.class.as_ref(), self.context.as_ref(), self.vector.as_ref()]
    }
}

fn same_but_batch(a: &Tensor, b: &Tensor) -> bool {
    a.kind() == b.kind() && a.device() == b.device() && a.size().get(1..) == b.size().get(1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cat_refuses_halves() {
        let err = Cond::class(&[1]).cat(&Cond::default()).unwrap_err();
        assert_eq!(err.to_string(), "condition: class is given for one branch only");
        let both = Cond::class(&[1, 2]).cat(&Cond::class(&[3])).unwrap();
        assert_eq!(both.batch(), Some(3));
        assert!(both.check_batch(2).is_err());
    }
}
