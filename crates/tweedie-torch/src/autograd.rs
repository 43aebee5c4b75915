//! Gradients with respect to inputs, without the ways in which `run_backward` dies.
#![allow(unsafe_code)]

use crate::{Error, Result, ffi, tensor::elements};
use tch::Tensor;

/// The gradients of a scalar with respect to `inputs`, each in its input's shape. The graph is
/// freed.
///
/// # Errors
/// If `output` has more than one element or no graph, or an input has no part in it.
pub fn grad(output: &Tensor, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    if elements(&output.size())? != 1 {
        return Err(Error::Shape { what: "output".into(), expected: vec![], found: output.size() });
    }
    grads(output, None, inputs)
}

/// The product of `cotangent`, in the shape of `output`, with the Jacobian of `output`. The graph
/// is freed.
///
/// # Errors
/// As [`grad`], or if `cotangent` has another shape.
pub fn vjp(output: &Tensor, cotangent: &Tensor, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    if output.size() != cotangent.size() {
        let (expected, found) = (output.size(), cotangent.size());
        return Err(Error::Shape { what: "cotangent".into(), expected, found });
    }
    grads(output, Some(cotangent), inputs)
}

fn grads(output: &Tensor, cotangent: Option<&Tensor>, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    if !output.requires_grad() {
        return Err(Error::Gradient("the output does not depend on anything that requires one"));
    }
    if inputs.iter().any(|t| !t.requires_grad()) {
        return Err(Error::Gradient("an input does not require one"));
    }
    let out: Vec<Tensor> = inputs.iter().map(|_| Tensor::new()).collect();
    let cotangent = cotangent.map_or(std::ptr::null_mut(), ffi::raw);
    let (inputs, outs) = (ffi::raws(inputs.iter().copied()), ffi::raws(&out));
    // SAFETY: all pointers are of live tensors, and the arrays have the length that is said.
    ffi::check(unsafe {
        let n = inputs.len() as i32;
        ffi::tweedie_grads(ffi::raw(output), cotangent, inputs.as_ptr(), n, outs.as_ptr())
    })?;
    if out.iter().all(Tensor::defined) {
        Ok(out)
    } else {
        Err(Error::Gradient("the output does not depend on an input"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{from_f32, to_f32};

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
}
