//! Linear combinations in one pass over memory: what every sampler step is.
//!
//! On the CPU the bits of an element depend on that element's terms only: not on where it lies in
//! a vector, a batch or a thread's share.
#![allow(unsafe_code)]

use crate::{Error, Result, ffi, tensor};
use tch::{Device, Kind, Tensor};

/// The kernel's limit; more terms are taken in several passes.
const MAX_TERMS: usize = 8;

/// `x ← a·x + Σ cᵢ·tᵢ`, in place unless somebody else holds `x` or a view of it; then a fresh
/// tensor takes its place. Tells whether all values are finite (on other devices than the CPU it
/// does not look, and says yes).
///
/// # Errors
/// If a term has another shape, kind or device than `x`.
pub fn combine(x: &mut Tensor, a: f64, terms: &[(f64, &Tensor)]) -> Result<bool> {
    for (_, t) in terms {
        check_alike(x, t)?;
    }
    let usable = x.is_contiguous() && !x.requires_grad() && tensor::is_unique(x);
    let mut out = if usable { None } else { Some(fresh(x)?) };
    let (first, rest) = terms.split_at(terms.len().min(MAX_TERMS - 1));
    let mut coefficients = [a; MAX_TERMS];
    let mut tensors = [&*x; MAX_TERMS];
    for (i, (c, t)) in first.iter().enumerate() {
        (coefficients[i + 1], tensors[i + 1]) = (*c, *t);
    }
    let n = first.len() + 1;
    let finite = run(out.as_ref().unwrap_or(x), &coefficients[..n], &tensors[..n])?;
    if let Some(out) = out.take() {
        *x = out;
    }
    if rest.is_empty() { Ok(finite) } else { combine(x, 1.0, rest) }
}

/// `out ← Σ cᵢ·tᵢ`, in `out`'s memory if it fits and nobody else holds it. Tells whether all
/// values are finite, as [`combine`] does.
///
/// # Errors
/// If there is no term, or terms differ in shape, kind or device.
pub fn combine_into(out: &mut Option<Tensor>, terms: &[(f64, &Tensor)]) -> Result<bool> {
    let [(_, like), others @ ..] = terms else {
        return Err(Error::invalid("terms", "empty", "at least one"));
    };
    for (_, t) in others {
        check_alike(like, t)?;
    }
    let fits = |o: &Tensor| alike(o, like) && o.is_contiguous() && tensor::is_unique(o);
    let mut result = match out.take().filter(fits) {
        Some(out) => out,
        None => fresh(like)?,
    };
    let (first, rest) = terms.split_at(terms.len().min(MAX_TERMS));
    let (coefficients, tensors): (Vec<f64>, Vec<&Tensor>) = first.iter().copied().unzip();
    let mut finite = run(&result, &coefficients, &tensors)?;
    if !rest.is_empty() {
        finite = combine(&mut result, 1.0, rest)?;
    }
    *out = Some(result);
    Ok(finite)
}

fn alike(a: &Tensor, b: &Tensor) -> bool {
    a.kind() == b.kind() && a.device() == b.device() && a.size() == b.size()
}

fn check_alike(x: &Tensor, t: &Tensor) -> Result<()> {
    if alike(x, t) {
        return Ok(());
    }
    if x.size() != t.size() {
        return Err(Error::Shape { what: "a term".into(), expected: x.size(), found: t.size() });
    }
    let say = |t: &Tensor| format!("{:?} on {:?}", t.kind(), t.device());
    Err(Error::invalid("a term", say(t), say(x)))
}

fn fresh(like: &Tensor) -> Result<Tensor> {
    Ok(Tensor::f_empty(like.size(), (like.kind(), like.device()))?)
}

/// Writes the combination into `out`, which is contiguous and may be the first of the tensors.
fn run(out: &Tensor, coefficients: &[f64], tensors: &[&Tensor]) -> Result<bool> {
    let kernel = out.device() == Device::Cpu && matches!(out.kind(), Kind::Float | Kind::Double);
    if !kernel {
        return with_aten(out, coefficients, tensors);
    }
    let copies: Vec<Tensor> = tensors
        .iter()
        .filter(|t| !t.is_contiguous())
        .map(|t| t.f_contiguous())
        .collect::<Result<_, _>>()?;
    let mut copies = copies.iter();
    let mut pointers = [ffi::raw(out); MAX_TERMS];
    for (pointer, t) in pointers.iter_mut().zip(tensors) {
        let t = if t.is_contiguous() { *t } else { copies.next().unwrap_or(t) };
        *pointer = ffi::raw(t);
    }
    let mut finite = true;
    // SAFETY: all are live contiguous CPU tensors of one shape and kind, `out` is ours to write
    // (see `combine`), and the arrays are as long as said.
    ffi::check(unsafe {
        let n = tensors.len() as i32;
        ffi::tweedie_combine(
            ffi::raw(out),
            coefficients.as_ptr(),
            pointers.as_ptr(),
            n,
            &mut finite,
        )
    })?;
    Ok(finite)
}

/// The same with libtorch's own operations: other devices and kinds.
fn with_aten(out: &Tensor, coefficients: &[f64], tensors: &[&Tensor]) -> Result<bool> {
    let _guard = tch::no_grad_guard();
    let mut out = out.shallow_clone();
    let mut sum = tensors[0].f_mul_scalar(coefficients[0])?;
    for (&c, t) in coefficients.iter().zip(tensors).skip(1) {
        sum = sum.f_add_(&t.f_mul_scalar(c)?)?;
    }
    out.f_copy_(&sum)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{from_f32, to_f32};

    fn t(values: &[f32]) -> Tensor {
        from_f32(values, &[values.len() as i64]).unwrap()
    }

    #[test]
    fn in_place_when_alone_and_fresh_when_held() {
        let (mut x, y) = (t(&[1.0, 2.0]), t(&[10.0, 20.0]));
        let place = x.data_ptr();
        assert!(combine(&mut x, 2.0, &[(0.5, &y)]).unwrap());
        assert_eq!((to_f32(&x).unwrap(), x.data_ptr()), (vec![7.0, 14.0], place));
        let held = x.view([2, 1]);
        combine(&mut x, 1.0, &[(1.0, &y)]).unwrap();
        assert_eq!(to_f32(&held).unwrap(), [7.0, 14.0]);
        assert_eq!(to_f32(&x).unwrap(), [17.0, 34.0]);
    }

    #[test]
    fn any_number_of_terms_and_aliases() {
        for n in 0..20 {
            let one = t(&[1.0; 5]);
            let mut x = t(&[3.0; 5]);
            combine(&mut x, 2.0, &vec![(1.0, &one); n]).unwrap();
            assert_eq!(to_f32(&x).unwrap(), [6.0 + n as f32; 5]);
            let mut out = None;
            if n > 0 {
                combine_into(&mut out, &vec![(2.0, &one); n]).unwrap();
                assert_eq!(to_f32(&out.unwrap()).unwrap(), [2.0 * n as f32; 5]);
            } else {
                assert!(combine_into(&mut out, &[]).is_err());
            }
        }
        let mut x = t(&[1.0, 2.0]);
        let alias = x.shallow_clone();
        combine(&mut x, 1.0, &[(1.0, &alias)]).unwrap();
        assert_eq!(
            (to_f32(&x).unwrap(), to_f32(&alias).unwrap()),
            (vec![2.0, 4.0], vec![1.0, 2.0])
        );
    }

    #[test]
    fn strides_kinds_and_what_is_not_finite() {
        let square = from_f32(&[1.0, 2.0, 3.0, 4.0], &[2, 2]).unwrap();
        let mut x = square.tr();
        combine(&mut x, 1.0, &[(10.0, &square)]).unwrap();
        assert_eq!(to_f32(&x).unwrap(), [11.0, 23.0, 32.0, 44.0]);
        let mut half = t(&[1.0]).to_kind(Kind::Half);
        combine(&mut half, 3.0, &[]).unwrap();
        assert_eq!(to_f32(&half).unwrap(), [3.0]);
        for bad in [f32::NAN, f32::INFINITY] {
            assert!(!combine(&mut t(&[1.0, bad, 2.0]), 1.0, &[]).unwrap());
        }
        assert!(combine(&mut t(&[1.0]), 1.0, &[(1.0, &t(&[1.0, 2.0]))]).is_err());
        assert!(combine(&mut t(&[1.0]), 1.0, &[(1.0, &t(&[1.0]).to_kind(Kind::Double))]).is_err());
    }

    /// The bits of an element do not depend on where it lies.
    #[test]
    fn bits_do_not_depend_on_the_position() {
        let numbers: Vec<f32> = (0..100_003).map(|i| (i as f32 * 0.37).sin() * 3.0).collect();
        let others: Vec<f32> = (0..100_003).map(|i| (i as f32 * 0.11).cos()).collect();
        let at = |from: usize, to: usize| {
            let mut x = t(&numbers[from..to]);
            combine(&mut x, 0.123, &[(1.77, &t(&others[from..to])), (-0.3, &t(&others[from..to]))])
                .unwrap();
            to_f32(&x).unwrap()
        };
        let whole = at(0, numbers.len());
        for (from, to) in [(1, 100_003), (17, 18), (333, 40_000), (99_990, 100_003)] {
            assert!(at(from, to) == whole[from..to]);
        }
    }
}
