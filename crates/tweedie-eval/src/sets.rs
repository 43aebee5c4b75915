//! What every measure asks of a set before it looks at it: rows of finite numbers, enough of them.

use crate::{Error, Result};
use tch::{Kind, Tensor};
use tweedie_torch::tensor;

/// Samples `[n, …]` as rows `[n, dim]` in single precision.
///
/// # Errors
/// If there are fewer than `needed`, they have no numbers, are no floating-point numbers, or one
/// of these is not finite.
pub(crate) fn rows(what: &'static str, set: &Tensor, needed: usize) -> Result<Tensor> {
    let size = set.size();
    if size.len() < 2 || size[1..].contains(&0) {
        return Err(Error::shape(what, "[n, …] with numbers in it", &size));
    }
    if !set.is_floating_point() {
        return Err(Error::invalid(what, format!("{:?}", set.kind()), "floating-point numbers"));
    }
    let found = size[0] as usize;
    if found < needed {
        return Err(Error::TooFew { what, found, needed });
    }
    let flat = set.detach().f_flatten(1, -1)?.f_to_kind(Kind::Float)?;
    match tensor::all_finite(&flat)? {
        true => Ok(flat),
        false => Err(Error::NotFinite(what)),
    }
}

/// A set with its name, and how many samples it takes.
pub(crate) type Needs<'a> = (&'static str, &'a Tensor, usize);

/// Two sets of rows of the same width, both where the first is.
pub(crate) fn pair(a: Needs<'_>, b: Needs<'_>) -> Result<(Tensor, Tensor)> {
    let (first, second) = (rows(a.0, a.1, a.2)?, rows(b.0, b.1, b.2)?);
    if first.size()[1] != second.size()[1] {
        let expected = format!("{} numbers each, as {} has", second.size()[1], b.0);
        return Err(Error::shape(a.0, expected, &a.1.size()));
    }
    let second = second.f_to_device(first.device())?;
    Ok((first, second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_torch::tensor::{from_f32, from_i64};

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let two = from_f32(&[1.0, 2.0, 3.0, 4.0], &[2, 1, 2]).unwrap();
        assert_eq!(rows("x", &two, 2).unwrap().size(), [2, 2]);
        assert!(matches!(rows("x", &two, 3), Err(Error::TooFew { found: 2, needed: 3, .. })));
        assert!(matches!(
            rows("x", &from_f32(&[f32::NAN, 1.0], &[1, 2]).unwrap(), 1),
            Err(Error::NotFinite("x"))
        ));
        assert!(rows("x", &from_f32(&[1.0], &[1]).unwrap(), 1).is_err());
        assert!(rows("x", &from_i64(&[1], &[1, 1]).unwrap(), 1).is_err());
        let three = from_f32(&[1.0, 2.0, 3.0], &[1, 3]).unwrap();
        let error =
            pair(("the samples", &three, 1), ("the data", &two, 1)).unwrap_err().to_string();
        assert!(error.contains("the samples has shape [1, 3], expected 2 numbers each"), "{error}");
    }
}
