//! Gradients with respect to inputs, without the ways in which `run_backward` dies.
#![allow(unsafe_code)]

use crate::{Error, Result, ffi, tensor::elements};
use tch::Tensor;

/// Autograd records on this thread while the value lives, whatever was the case before: a denoiser
/// within a sampler, whose steps record nothing, is differentiated so.
#[derive(Debug)]
#[must_use = "it ends where it is dropped"]
pub struct Recording {
    before: bool,
}

impl Recording {
    /// Begins.
    pub fn begin() -> Self {
        // SAFETY: sets a flag of this thread.
        Recording { before: unsafe { torch_sys::at_grad_set_enabled(1) } != 0 }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { torch_sys::at_grad_set_enabled(i32::from(self.before)) };
    }
}

/// The gradients of a scalar with respect to `inputs`, each in its input's shape. The graph is
/// freed.
///
/// # Errors
/// If `output` has more than one element or no graph, or an input has no part in it.
pub fn grad(output: &Tensor, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    if elements(&output.size())? != 1 {
        return Err(Error::Shape { what: "output".into(), expected: vec![], found: output.size() });
    }
    all(grads(&[output], None, inputs)?)
}

/// The product of `cotangent`, in the shape of `output`, with the Jacobian of `output`. The graph
/// is freed.
///
/// # Errors
/// As [`grad`], or if `cotangent` has another shape.
pub fn vjp(output: &Tensor, cotangent: &Tensor, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    all(vjps(&[(output, cotangent)], inputs)?)
}

/// [`vjp`] of several outputs, each with its cotangent, added up; nothing for an input that no
/// output depends on. An output may itself be an input. The graphs are freed.
///
/// # Errors
/// If an output has no graph, an input requires no gradient, or a cotangent has another shape than
/// its output.
pub fn vjps(outputs: &[(&Tensor, &Tensor)], inputs: &[&Tensor]) -> Result<Vec<Option<Tensor>>> {
    for (output, cotangent) in outputs {
        if !(output.defined() && cotangent.defined()) {
            return Err(Error::Gradient("an output or a cotangent is undefined"));
        }
        if output.size() != cotangent.size() {
            let (expected, found) = (output.size(), cotangent.size());
            return Err(Error::Shape { what: "cotangent".into(), expected, found });
        }
    }
    let (outputs, cotangents): (Vec<_>, Vec<_>) = outputs.iter().copied().unzip();
    grads(&outputs, Some(&cotangents), inputs)
}

/// Every gradient, or the error that one is missing.
fn all(gradients: Vec<Option<Tensor>>) -> Result<Vec<Tensor>> {
    let all: Option<Vec<Tensor>> = gradients.into_iter().collect();
    all.ok_or(Error::Gradient("the output does not depend on an input"))
}

fn grads(
    outputs: &[&Tensor],
    cotangents: Option<&[&Tensor]>,
    inputs: &[&Tensor],
) -> Result<Vec<Option<Tensor>>> {
    if outputs.iter().any(|t| !t.requires_grad()) {
        return Err(Error::Gradient("the output does not depend on anything that requires one"));
    }
    if inputs.iter().any(|t| !t.requires_grad()) {
        return Err(Error::Gradient("an input does not require one"));
    }
    let out: Vec<Tensor> = inputs.iter().map(|_| Tensor::new()).collect();
    let raws = |ts: &[&Tensor]| ffi::raws(ts.iter().copied());
    let (outputs, cotangents) = (raws(outputs), cotangents.map(raws));
    let cotangents = cotangents.as_ref().map_or(std::ptr::null(), Vec::as_ptr);
    let (inputs, outs) = (raws(inputs), ffi::raws(&out));
    // SAFETY: all pointers are of live tensors, and the arrays have the lengths that are said.
    ffi::check(unsafe {
        let (m, n) = (outputs.len() as i32, inputs.len() as i32);
        let (outputs, inputs) = (outputs.as_ptr(), inputs.as_ptr());
        ffi::tweedie_grads(outputs, cotangents, m, inputs, n, outs.as_ptr())
    })?;
    Ok(out.into_iter().map(|t| t.defined().then_some(t)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{from_f32, to_f32};

    #[test]
    fn recording_ends_where_it_is_dropped() {
        let x = from_f32(&[3.0], &[1]).unwrap().set_requires_grad(true);
        let _guard = tch::no_grad_guard();
        {
            let _recording = Recording::begin();
            assert!(x.square().requires_grad());
        }
        assert!(!x.square().requires_grad());
    }

    #[test]
    fn what_crashes_tch_is_an_error() {
        let x = from_f32(&[2.0], &[1]).unwrap().set_requires_grad(true);
        let unused = from_f32(&[2.0], &[1]).unwrap().set_requires_grad(true);
        let square = x.square();
        assert_eq!(to_f32(&grad(&square, &[&x]).unwrap()[0]).unwrap(), [4.0]);
        assert!(matches!(grad(&x.square(), &[&unused]), Err(Error::Gradient(_))));
        let detached = tch::no_grad_guard();
        let no_graph = x.square();
        drop(detached);
        assert!(matches!(grad(&no_graph, &[&x]), Err(Error::Gradient(_))));
        assert!(grad(&from_f32(&[1.0, 2.0], &[2]).unwrap(), &[&x]).is_err());
    }

    #[test]
    fn vjp_is_the_transposed_jacobian() {
        let x = from_f32(&[1.0, 2.0], &[2]).unwrap().set_requires_grad(true);
        let v = from_f32(&[10.0, 100.0], &[2]).unwrap();
        assert_eq!(to_f32(&vjp(&x.square(), &v, &[&x]).unwrap()[0]).unwrap(), [20.0, 400.0]);
        assert!(vjp(&x.square(), &from_f32(&[1.0], &[1]).unwrap(), &[&x]).is_err());
    }

    #[test]
    fn several_outputs_add_up_and_what_has_no_part_has_none() {
        let leaf = |v: f32| from_f32(&[v], &[1]).unwrap().set_requires_grad(true);
        let (x, y, unused) = (leaf(2.0), leaf(3.0), leaf(5.0));
        let (product, square) = (&x * &y, x.square());
        let v = |v: f32| from_f32(&[v], &[1]).unwrap();
        // Outputs: x·y, x² twice, and x itself.
        let outputs =
            [(&product, &v(10.0)), (&square, &v(1.0)), (&square, &v(1.0)), (&x, &v(100.0))];
        let found = vjps(&outputs, &[&x, &unused, &y]).unwrap();
        let of = |i: usize| found[i].as_ref().map(|t| to_f32(t).unwrap());
        assert_eq!(of(0), Some(vec![10.0 * 3.0 + 2.0 * 4.0 + 100.0]));
        assert_eq!((of(1), of(2)), (None, Some(vec![20.0])));
        assert!(vjps(&[], &[&x]).unwrap()[0].is_none());
        assert!(vjps(&[(&v(1.0), &v(1.0))], &[&x]).is_err(), "no graph");
        assert!(vjps(&[(&x.square(), &v(1.0).reshape([1, 1]))], &[&x]).is_err(), "a shape");
        assert!(vjps(&[(&x.square(), &v(1.0))], &[&v(1.0)]).is_err(), "no leaf");
        assert!(vjps(&[(&Tensor::new(), &Tensor::new())], &[&x]).is_err(), "undefined");
    }
}
