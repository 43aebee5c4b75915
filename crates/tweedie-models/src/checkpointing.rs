//! Activation checkpointing (Chen et al., arXiv:1604.06174): memory for time.
//!
//! A network's pass is a list of [`Segment`]s. In training with checkpoints the first pass keeps
//! what lies between them and no graph; the way back runs each segment again, with a graph, right
//! before its gradients are wanted. At any time one segment's activations are there.

use crate::trainable::backward;
use crate::{Gradients, Loss};
use tch::Tensor;
use tweedie_core::Result;
use tweedie_torch::Error;
use tweedie_torch::autograd::vjps;
use tweedie_torch::parameters::Parameters;

/// What lies between two segments: floating-point tensors.
pub(crate) type State = Vec<Tensor>;

/// A part of a network's pass; the first finds an empty state, the last leaves the answer alone.
/// It may be run again and then gives the same: what is random in it follows from a key. It leaves
/// what it is given as it is.
pub(crate) type Segment<'a> = Box<dyn Fn(State) -> Result<State> + 'a>;

/// One segment after another.
pub(crate) fn answer(segments: &[Segment<'_>]) -> Result<Tensor> {
    let state = segments.iter().try_fold(State::new(), |state, segment| segment(state))?;
    Ok(last(state)?)
}

/// Forward, loss, and backward; with checkpoints between the segments, if wanted.
pub(crate) fn gradients(
    segments: &[Segment<'_>],
    checkpoints: bool,
    parameters: &Parameters,
    loss: &mut Loss<'_>,
) -> Result<Gradients> {
    if !checkpoints {
        return backward(&answer(segments)?, parameters, loss);
    }
    let (mut states, loss, cotangent) = {
        let _guard = tch::no_grad_guard();
        let (states, output) = states(segments)?;
        let (loss, cotangent) = loss(&output)?;
        (states, loss, cotangent)
    };
    let parameters: Vec<&Tensor> = parameters.tensors().collect();
    let mut sums: Vec<Option<Tensor>> = parameters.iter().map(|_| None).collect();
    let mut cotangents = vec![Some(cotangent)];
    for segment in segments.iter().rev() {
        let state = states.pop().unwrap_or_default();
        let found;
        (cotangents, found) = back(segment, &state, &cotangents, &parameters)?;
        for (sum, found) in sums.iter_mut().zip(found) {
            *sum = match (sum.take(), found) {
                (Some(mut sum), Some(found)) => Some(sum.g_add_(&found)),
                (sum, found) => sum.or(found),
            };
        }
    }
    let gradients: Option<Vec<Tensor>> = sums.into_iter().collect();
    let none = Error::Gradient("the output does not depend on a parameter");
    Ok(Gradients { loss, gradients: gradients.ok_or(none)? })
}

/// What each segment finds, and the answer.
fn states(segments: &[Segment<'_>]) -> Result<(Vec<State>, Tensor)> {
    let mut states = Vec::with_capacity(segments.len());
    let mut state = State::new();
    for segment in segments {
        let next = segment(state.iter().map(Tensor::shallow_clone).collect())?;
        states.push(std::mem::replace(&mut state, next));
    }
    Ok((states, last(state)?))
}

fn last(mut state: State) -> tweedie_torch::Result<Tensor> {
    let one = "one tensor";
    let wrong = |n: usize| Error::invalid("what a network's last segment leaves", n, one);
    match state.pop() {
        Some(output) if state.is_empty() => Ok(output),
        left => Err(wrong(state.len() + usize::from(left.is_some()))),
    }
}

/// Runs a segment again, and its graph backwards: the gradients of what it found, and those of the
/// parameters, where it has any part in them.
fn back(
    segment: &Segment<'_>,
    state: &State,
    cotangents: &[Option<Tensor>],
    parameters: &[&Tensor],
) -> Result<(Vec<Option<Tensor>>, Vec<Option<Tensor>>)> {
    let leaf = |t: &Tensor| t.detach().set_requires_grad(true);
    let leaves: State = state.iter().map(leaf).collect();
    let outputs = segment(leaves.iter().map(Tensor::shallow_clone).collect())?;
    // What depends on nothing that learns, and what nothing depends on, has no gradient.
    let pairs = outputs.iter().zip(cotangents).filter(|(output, _)| output.requires_grad());
    let pairs: Vec<(&Tensor, &Tensor)> =
        pairs.filter_map(|(output, cotangent)| Some((output, cotangent.as_ref()?))).collect();
    let inputs: Vec<&Tensor> = leaves.iter().chain(parameters.iter().copied()).collect();
    let mut gradients = vjps(&pairs, &inputs)?;
    let of_parameters = gradients.split_off(leaves.len());
    Ok((gradients, of_parameters))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use tch::{Device, Kind};
    use tweedie_torch::parameters::{Init, Linear};
    use tweedie_torch::tensor::{is_unique, to_f64};

    const DEPTH: usize = 6;

    /// Six layers `h ← tanh(layer(h))·a`, and what their graphs hold.
    struct Chain {
        parameters: Parameters,
        layers: Vec<Linear>,
        a: Tensor,
        /// Every tensor that a graph keeps for its way back, as long as it does.
        kept: RefCell<Vec<Tensor>>,
        most: RefCell<usize>,
    }

    impl Chain {
        fn new() -> Self {
            let mut parameters = Parameters::new(1, Kind::Double, Device::Cpu).unwrap();
            let layer =
                |i: usize, p: &mut Parameters| Linear::new(&mut p.root().sub(i), 4, 4, true);
            let layers = (0..DEPTH).map(|i| layer(i, &mut parameters).unwrap()).collect();
            let a = parameters.root().tensor("a", &[4], Init::Ones).unwrap();
            let (kept, most) = (RefCell::default(), RefCell::default());
            Chain { parameters, layers, a, kept, most }
        }

        /// The state is `[a, h]`; `a` goes through all of them.
        fn segments(&self) -> Vec<Segment<'_>> {
            let first = Box::new(|_| Ok(vec![self.a.square(), Tensor::ones_like(&self.a)]));
            let mut segments: Vec<Segment<'_>> = vec![first];
            for layer in &self.layers {
                segments.push(Box::new(|state| {
                    let (a, h) = (&state[0], layer.forward(&state[1]).tanh());
                    self.keep(&h);
                    Ok(vec![a.shallow_clone(), h * a])
                }));
            }
            segments.push(Box::new(|mut state| Ok(vec![state.remove(1)])));
            segments
        }

        /// Counts how many of all activations are held by something else than this list.
        fn keep(&self, h: &Tensor) {
            if !h.requires_grad() {
                return;
            }
            self.kept.borrow_mut().retain(|t| !is_unique(t));
            self.kept.borrow_mut().push(h.shallow_clone());
            let count = self.kept.borrow().len();
            self.most.replace_with(|most| count.max(*most));
        }

        fn gradients(&self, checkpoints: bool) -> (Vec<Vec<f64>>, usize) {
            let mut loss = |y: &Tensor| Ok((y.square().sum(Kind::Double), y * 2.0));
            self.kept.take();
            self.most.take();
            let found =
                gradients(&self.segments(), checkpoints, &self.parameters, &mut loss).unwrap();
            let all = [&found.loss].into_iter().chain(&found.gradients);
            (all.map(|t| to_f64(t).unwrap()).collect(), *self.most.borrow())
        }
    }

    #[test]
    fn one_segments_activations_at_a_time_and_the_same_gradients() {
        let chain = Chain::new();
        let ((plain, all), (found, most)) = (chain.gradients(false), chain.gradients(true));
        assert_eq!((all, most), (DEPTH, 1));
        for (found, plain) in found.iter().flatten().zip(plain.iter().flatten()) {
            // Double precision; `a` collects its share in another order.
            assert!((found - plain).abs() < 1e-14, "{found} for {plain}");
        }
    }

    #[test]
    fn a_parameter_without_a_part_and_a_wrong_loss_are_errors() {
        let mut parameters = Parameters::new(1, Kind::Float, Device::Cpu).unwrap();
        let used = parameters.root().tensor("used", &[2], Init::Ones).unwrap();
        let segments: Vec<Segment<'_>> = vec![Box::new(|_| Ok(vec![used.square()]))];
        let run = |parameters: &Parameters, loss: &mut Loss<'_>| {
            gradients(&segments, true, parameters, loss).unwrap_err().to_string()
        };
        let mut wrong = |y: &Tensor| Ok((y.sum(Kind::Float), y.unsqueeze(0)));
        assert!(run(&parameters, &mut wrong).contains("cotangent has shape [1, 2]"));
        let _ = parameters.root().tensor("unused", &[2], Init::Ones).unwrap();
        let mut loss = |y: &Tensor| Ok((y.sum(Kind::Float), y.ones_like()));
        assert!(run(&parameters, &mut loss).contains("does not depend on a parameter"));
    }
}
