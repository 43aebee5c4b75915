//! Linear combinations in one pass over memory: what every sampler step is.
//!
//! On the CPU the bits of an element depend on that element's terms only: not on where it lies in
//! a vector, a batch or a thread's share. Terms may have any strides; when all have the same, as
//! images in `channels_last` do, none is copied. Kinds of 16 bits and fewer are added up in single
//! precision. No graph is recorded.
#![allow(unsafe_code)]

use crate::{Error, Result, ffi};
use tch::{Kind, Tensor};

/// `x ← a·x + Σ cᵢ·tᵢ`, in place unless somebody else holds `x` or a view of it; then a fresh
/// tensor takes its place. Tells whether all values are finite (on other devices than the CPU it
/// does not look, and says yes).
///
/// # Errors
/// If a term has another shape, kind or device than `x`, or the kind is no floating-point one.
pub fn combine(x: &mut Tensor, a: f64, terms: &[(f64, &Tensor)]) -> Result<bool> {
    let mut coefficients = Vec::with_capacity(terms.len() + 1);
    let mut tensors = Vec::with_capacity(terms.len() + 1);
    coefficients.push(a);
    tensors.push(&*x);
    coefficients.extend(terms.iter().map(|t| t.0));
    tensors.extend(terms.iter().map(|t| t.1));
    let (fresh, finite) = run(Some(&*x), &coefficients, &tensors)?;
    if let Some(fresh) = fresh {
        *x = fresh;
    }
    Ok(finite)
}

/// `out ← Σ cᵢ·tᵢ`, in `out`'s memory if it fits and nobody else holds it. Tells whether all
/// values are finite, as [`combine`] does.
///
/// # Errors
/// If there is no term, terms differ in shape, kind or device, or the kind is no floating-point
/// one.
pub fn combine_into(out: &mut Option<Tensor>, terms: &[(f64, &Tensor)]) -> Result<bool> {
    if terms.is_empty() {
        return Err(Error::invalid("terms", "empty", "at least one"));
    }
    let (coefficients, tensors): (Vec<f64>, Vec<&Tensor>) = terms.iter().copied().unzip();
    let (fresh, finite) = run(out.as_ref(), &coefficients, &tensors)?;
    if fresh.is_some() {
        *out = fresh;
    }
    Ok(finite)
}

/// Writes the combination into `place` if nobody else holds it, else into a tensor that it
/// returns; and whether all values are finite.
fn run(
    place: Option<&Tensor>,
    coefficients: &[f64],
    tensors: &[&Tensor],
) -> Result<(Option<Tensor>, bool)> {
    let raws = ffi::raws(tensors.iter().copied());
    let (mut fresh, mut answer) = (std::ptr::null_mut(), 2);
    // SAFETY: all are live tensors and both arrays are as long as said. The bridge checks what they
    // are, and writes into `place` only if its one holder is the caller, who lent it to be written.
    ffi::check(unsafe {
        let (place, n) = (place.map_or(std::ptr::null_mut(), ffi::raw), raws.len() as i32);
        let (c, ts) = (coefficients.as_ptr(), raws.as_ptr());
        ffi::tweedie_combine(place, c, ts, n, &mut fresh, &mut answer)
    })?;
    if answer == 2 {
        return Err(misfit(tensors));
    }
    // SAFETY: the bridge made this tensor for us to own.
    let fresh = (!fresh.is_null()).then(|| unsafe { ffi::own(fresh) });
    Ok((fresh, answer == 0))
}

/// What is wrong with terms that the bridge refused.
fn misfit(tensors: &[&Tensor]) -> Error {
    if tensors.iter().any(|t| !t.defined()) {
        return Error::invalid("a term", "an undefined tensor", "a tensor");
    }
    let first = tensors[0];
    let say = |t: &Tensor| format!("{:?} on {:?}", t.kind(), t.device());
    for t in tensors {
        if t.size() != first.size() {
            let (expected, found) = (first.size(), t.size());
            return Error::Shape { what: "a term".into(), expected, found };
        }
        if t.kind() != first.kind() || t.device() != first.device() {
            return Error::invalid("a term", say(t), say(first));
        }
    }
    let floating = [Kind::Float, Kind::Double, Kind::BFloat16, Kind::Half];
    Error::invalid("a term", say(first), format!("one of {floating:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{from_f32, to_f32};
    use proptest::prelude::*;

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

    /// Images in `channels_last` stay so and in place; a term of another layout is still right.
    #[test]
    fn layouts_are_kept_and_mixed() {
        let image = |first: i64| {
            let t = Tensor::arange_start(first, first + 24, tch::kind::FLOAT_CPU);
            t.view([1, 2, 3, 4])
        };
        let last = |t: Tensor| t.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
        let (mut x, y, z) = (last(image(0)).copy(), last(image(5)), image(7));
        let (place, strides) = (x.data_ptr(), x.stride());
        combine(&mut x, 2.0, &[(1.0, &y), (-1.0, &z)]).unwrap();
        let expected = image(0) * 2.0 + image(5) - image(7);
        assert_eq!(to_f32(&x).unwrap(), to_f32(&expected).unwrap());
        assert_eq!((x.data_ptr(), x.stride()), (place, strides));
        let spread = t(&[1.0, 2.0]).unsqueeze(1).expand([2, 3], false);
        let mut out = None;
        combine_into(&mut out, &[(1.0, &spread), (1.0, &spread)]).unwrap();
        assert_eq!(to_f32(&out.unwrap()).unwrap(), [2.0, 2.0, 2.0, 4.0, 4.0, 4.0]);
    }

    /// 256 + 1 + 1 is 258; added up in bf16 it stays 256.
    #[test]
    fn narrow_kinds_are_added_up_in_single_precision() {
        for kind in [Kind::BFloat16, Kind::Half] {
            let one = t(&[1.0]).to_kind(kind);
            let mut x = t(&[256.0]).to_kind(kind);
            assert!(combine(&mut x, 1.0, &[(1.0, &one), (1.0, &one)]).unwrap());
            assert_eq!((to_f32(&x).unwrap(), x.kind()), (vec![258.0], kind));
        }
        let mut large = t(&[60_000.0]).to_kind(Kind::Half);
        assert!(!combine(&mut large, 2.0, &[]).unwrap(), "infinite in half precision");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = |x: Tensor, y: &Tensor| {
            let mut x = x;
            combine(&mut x, 0.5, &[(1.0, y)]).unwrap_err().to_string()
        };
        let x = || t(&[1.0, 2.0]);
        assert_eq!(message(x(), &t(&[1.0])), "a term has shape [1], expected [2]");
        let double = x().to_kind(Kind::Double);
        assert!(message(x(), &double).contains("Double on Cpu, expected Float on Cpu"));
        assert!(message(x(), &Tensor::new()).contains("undefined"));
        let whole = x().to_kind(Kind::Int64);
        assert!(message(whole.copy(), &whole).contains("Int64"));
    }

    #[test]
    fn nothing_is_recorded_and_what_a_graph_needs_is_left_alone() {
        let mut x = t(&[3.0]).set_requires_grad(true);
        let square = x.square();
        combine(&mut x, 2.0, &[]).unwrap();
        assert!(!x.requires_grad());
        assert_eq!((to_f32(&x).unwrap(), to_f32(&square).unwrap()), (vec![6.0], vec![9.0]));
        let leaf = t(&[3.0]).set_requires_grad(true);
        let mut inner = &leaf * 1.0;
        let y = inner.square();
        combine(&mut inner, 100.0, &[]).unwrap();
        let g = crate::autograd::grad(&y, &[&leaf]).unwrap();
        assert_eq!(to_f32(&g[0]).unwrap(), [6.0], "the graph kept its own 3");
    }

    proptest! {
        /// Every number of terms, against the sum in the same order in plain Rust: same bits.
        #[test]
        fn bits_are_those_of_the_written_out_sum(
            n in 1_usize..70, m in 0_usize..12, a in -2.0_f64..2.0, seed in 0_u32..1000,
        ) {
            let value = |i: usize, j: usize| ((i * 31 + j * 17) as f32 + seed as f32 * 0.37).sin();
            let row = |j: usize| (0..n).map(|i| value(i, j)).collect::<Vec<f32>>();
            let terms: Vec<(f64, Tensor)> =
                (1..=m).map(|j| (f64::from(value(j, 99)), t(&row(j)))).collect();
            let terms: Vec<(f64, &Tensor)> = terms.iter().map(|(c, t)| (*c, t)).collect();
            let mut x = t(&row(0));
            combine(&mut x, a, &terms).unwrap();
            let expected: Vec<f32> = (0..n)
                .map(|i| {
                    let first = a as f32 * value(i, 0);
                    let rest = terms.iter().zip(1..);
                    rest.fold(first, |sum, ((c, _), j)| sum + *c as f32 * value(i, j))
                })
                .collect();
            prop_assert_eq!(to_f32(&x).unwrap(), expected);
        }
    }
}
