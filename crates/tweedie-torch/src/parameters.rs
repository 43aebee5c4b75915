//! A network's parameters: named, in order, each name once; and the layers that are made of them.

use crate::{Error, Result, optim, rng::Generator, weights};
use std::collections::HashSet;
use tch::{Device, Kind, Tensor};

/// All parameters of a network, in the order of their creation, which is PyTorch's when the
/// layers are made in the same order: the same seed then gives the same numbers.
#[derive(Debug)]
pub struct Parameters {
    named: Vec<(String, Tensor)>,
    taken: HashSet<String>,
    generator: Generator,
    kind: Kind,
    device: Device,
}

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Zeros.
    Zeros,
    /// Ones.
    Ones,
    /// Uniform between minus and plus this.
    Uniform(f64),
    /// Normal with this standard deviation.
    Normal(f64),
}

impl Parameters {
    /// None yet. The numbers come from PyTorch's CPU stream of `seed`, in `f32`, and then go to
    /// `device` as `kind`.
    pub fn new(seed: u64, kind: Kind, device: Device) -> Result<Self> {
        let generator = Generator::new(seed)?;
        Ok(Parameters { named: vec![], taken: HashSet::new(), generator, kind, device })
    }

    /// The place where names have no prefix.
    pub fn root(&mut self) -> Scope<'_> {
        Scope { parameters: self, prefix: String::new() }
    }

    /// Names and tensors in order of creation.
    pub fn named(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.named.iter().map(|(name, t)| (name.as_str(), t))
    }

    /// The tensors in order of creation.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = &Tensor> {
        self.named.iter().map(|(_, t)| t)
    }

    /// The number of numbers.
    pub fn count(&self) -> usize {
        self.tensors().map(Tensor::numel).sum()
    }

    /// The kind of all of them.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where all of them are.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Takes the values of a state dict: exactly these names and shapes.
    pub fn load(&self, dict: &weights::StateDict) -> Result<()> {
        weights::load_into(self.named(), dict)
    }

    /// Copies of the values, in order: a moving average starts from them.
    pub fn copies(&self) -> Result<Vec<Tensor>> {
        let _guard = tch::no_grad_guard();
        let copy = |t: &Tensor| {
            let mut copy = t.f_empty_like()?;
            copy.f_copy_(t)?;
            Ok(copy)
        };
        self.tensors().map(copy).collect()
    }

    /// Drops all gradients.
    pub fn clear_grads(&self) -> Result<()> {
        optim::clear_grads(self.tensors())
    }
}

/// A place in the tree of names.
#[derive(Debug)]
pub struct Scope<'a> {
    parameters: &'a mut Parameters,
    prefix: String,
}

impl Scope<'_> {
    /// A place below this one; numbers and dotted names are fine.
    pub fn sub(&mut self, name: impl std::fmt::Display) -> Scope<'_> {
        let prefix = format!("{}{name}.", self.prefix);
        Scope { parameters: self.parameters, prefix }
    }

    /// A new parameter.
    ///
    /// # Errors
    /// If the name is taken, or the shape makes no sense.
    pub fn tensor(&mut self, name: &str, shape: &[i64], init: Init) -> Result<Tensor> {
        let name = format!("{}{name}", self.prefix);
        if self.parameters.taken.contains(&name) {
            return Err(Error::invalid("a parameter's name", name, "one that is not taken"));
        }
        crate::tensor::elements(shape)?;
        let generator = &mut self.parameters.generator;
        let t = match init {
            Init::Zeros => Tensor::f_zeros(shape, tch::kind::FLOAT_CPU)?,
            Init::Ones => Tensor::f_ones(shape, tch::kind::FLOAT_CPU)?,
            Init::Uniform(bound) => generator.uniform(shape, Kind::Float, -bound, bound)?,
            Init::Normal(std) => generator.normal(shape, Kind::Float)?.f_mul_scalar(std)?,
        };
        let (kind, device) = (self.parameters.kind, self.parameters.device);
        let t = t.f_to_device(device)?.f_to_kind(kind)?.f_set_requires_grad(true)?;
        self.parameters.taken.insert(name.clone());
        self.parameters.named.push((name, t.shallow_clone()));
        Ok(t)
    }
}

/// `x·weightᵀ + bias`: PyTorch's `nn.Linear`, initialised as it is.
#[derive(Debug)]
pub struct Linear {
    /// `[out, in]`
    pub weight: Tensor,
    /// `[out]`
    pub bias: Option<Tensor>,
}

impl Linear {
    /// Makes `weight` and, if wanted, `bias` at `scope`.
    pub fn new(scope: &mut Scope<'_>, inputs: i64, outputs: i64, bias: bool) -> Result<Self> {
        if inputs <= 0 || outputs <= 0 {
            return Err(Error::invalid(
                "a layer's width",
                format!("{inputs} to {outputs}"),
                "positive",
            ));
        }
        let bound = Init::Uniform(1.0 / (inputs as f64).sqrt());
        let weight = scope.tensor("weight", &[outputs, inputs], bound)?;
        let bias = if bias { Some(scope.tensor("bias", &[outputs], bound)?) } else { None };
        Ok(Linear { weight, bias })
    }

    /// `[…, in]` to `[…, out]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, self.bias.as_ref())
    }
}

/// A row of numbers for each label: PyTorch's `nn.Embedding`, initialised as it is.
#[derive(Debug)]
pub struct Embedding {
    /// `[labels, dim]`
    pub weight: Tensor,
}

impl Embedding {
    /// Makes `weight` at `scope`.
    pub fn new(scope: &mut Scope<'_>, labels: i64, dim: i64) -> Result<Self> {
        if labels <= 0 || dim <= 0 {
            return Err(Error::invalid("an embedding", format!("{labels} of {dim}"), "positive"));
        }
        Ok(Embedding { weight: scope.tensor("weight", &[labels, dim], Init::Normal(1.0))? })
    }

    /// `[batch]` of 64-bit integers, which must be in range, to `[batch, dim]`.
    pub fn forward(&self, labels: &Tensor) -> Tensor {
        Tensor::embedding(&self.weight, labels, -1, false, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::to_f32;

    fn parameters() -> Parameters {
        Parameters::new(0, Kind::Float, Device::Cpu).unwrap()
    }

    #[test]
    fn names_are_given_once() {
        let mut p = parameters();
        Linear::new(&mut p.root().sub("net").sub(0), 2, 3, true).unwrap();
        let names: Vec<_> = p.named().map(|(n, _)| n.to_owned()).collect();
        assert_eq!(names, ["net.0.weight", "net.0.bias"]);
        let error = Linear::new(&mut p.root().sub("net.0"), 2, 3, true).unwrap_err().to_string();
        assert!(error.contains("net.0.weight"), "{error}");
        assert_eq!(p.count(), 9);
    }

    /// `torch.manual_seed(0); nn.Linear(2, 2)` of PyTorch 2.13.
    #[test]
    fn the_first_numbers_are_pytorchs() {
        let mut p = parameters();
        let linear = Linear::new(&mut p.root(), 2, 2, true).unwrap();
        let expected = [-0.005_294, 0.379_322_9, -0.581_980_8, -0.520_387_5];
        for (ours, theirs) in to_f32(&linear.weight).unwrap().iter().zip(expected) {
            assert!((ours - theirs).abs() < 1e-6, "{ours} for {theirs}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Linear::new(&mut parameters().root(), 0, 3, true).is_err());
        assert!(Embedding::new(&mut parameters().root(), 3, -1).is_err());
    }

    #[test]
    fn gradients_come_and_go() {
        let mut p = parameters();
        let linear = Linear::new(&mut p.root(), 2, 1, false).unwrap();
        let x = Tensor::ones([4, 2], tch::kind::FLOAT_CPU);
        linear.forward(&x).sum(Kind::Float).backward();
        assert_eq!(to_f32(&linear.weight.grad()).unwrap(), [4.0, 4.0]);
        p.clear_grads().unwrap();
        assert!(!linear.weight.grad().defined());
    }
}
