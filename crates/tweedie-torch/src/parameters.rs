//! A network's parameters: named, in order, each name once; and the layers that are made of them.

mod layers;

pub use layers::{Conv2d, Conv2dConfig, Embedding, GroupNorm, LayerNorm, Linear, RmsNorm, like};

use crate::low_rank::LowRank;
use crate::weights::{self, Mismatch, Store};
use crate::{Error, Result, optim, rng::Generator};
use std::collections::HashSet;
use tch::{Device, Kind, Tensor};

/// All parameters of a network, in the order of their creation, which is PyTorch's when the
/// layers are made in the same order: the same seed then gives the same numbers.
#[derive(Debug)]
pub struct Parameters {
    named: Vec<(String, Tensor)>,
    taken: HashSet<String>,
    source: Source,
    /// Numbers that belong to the layers.
    given: usize,
    kind: Kind,
    device: Device,
}

/// Where the values come from.
#[derive(Debug)]
enum Source {
    Drawn(Generator),
    Stored { store: Box<Store>, mismatch: Mismatch },
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

impl Init {
    /// In single precision on the CPU.
    fn draw(self, shape: &[i64], generator: &mut Generator) -> Result<Tensor> {
        Ok(match self {
            Init::Zeros => Tensor::f_zeros(shape, tch::kind::FLOAT_CPU)?,
            Init::Ones => Tensor::f_ones(shape, tch::kind::FLOAT_CPU)?,
            Init::Uniform(bound) => generator.uniform(shape, Kind::Float, -bound, bound)?,
            Init::Normal(std) => generator.normal(shape, Kind::Float)?.f_mul_scalar(std)?,
        })
    }

    /// Glorot & Bengio's uniform one (2010, eq. 16): `√(6 / (inputs + outputs))`.
    pub fn xavier(inputs: i64, outputs: i64) -> Self {
        Init::Uniform((6.0 / (inputs + outputs) as f64).sqrt())
    }
}

impl Parameters {
    /// None yet. The numbers come from PyTorch's CPU stream of `seed`, in `f32`, and then go to
    /// `device` as `kind`.
    pub fn new(seed: u64, kind: Kind, device: Device) -> Result<Self> {
        Ok(Self::from(Source::Drawn(Generator::new(seed)?), kind, device))
    }

    /// None yet, for a network that only infers. The values come from `store` by name, as `kind` on
    /// `device`, and want no gradient: no number is drawn, and what has that kind already is used where
    /// the store has it. They belong to the layers: [`named`](Self::named) has none, so that a layer may
    /// lay out its weights anew and let go of them. Once the network is made,
    /// [`finish`](Self::finish) tells whether the store had what it needs.
    pub fn stored(store: Store, kind: Kind, device: Device) -> Self {
        Self::from(
            Source::Stored { store: Box::new(store), mismatch: Mismatch::default() },
            kind,
            device,
        )
    }

    fn from(source: Source, kind: Kind, device: Device) -> Self {
        Parameters { named: vec![], taken: HashSet::new(), source, given: 0, kind, device }
    }

    /// Sees that the store had every parameter, in its shape, and nothing else but what `ignored`
    /// says by name.
    ///
    /// # Errors
    /// If it had not: the network made so far must not be used.
    pub fn finish(&mut self, ignored: impl Fn(&str) -> bool) -> Result<()> {
        let Source::Stored { store, mismatch } = &mut self.source else { return Ok(()) };
        let rest = std::mem::take(store);
        if let Some(name) = rest.names_beside().next() {
            let expected = "of a layer that takes it: it can only be added to the weight";
            return Err(Error::invalid("a low-rank term's weight", name, expected));
        }
        let unexpected = rest.names().filter(|name| !ignored(name));
        mismatch.unexpected = unexpected.map(str::to_owned).collect();
        match mismatch.is_empty() {
            true => Ok(()),
            false => Err(Error::Mismatch(Box::new(std::mem::take(mismatch)))),
        }
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
        self.given + self.tensors().map(Tensor::numel).sum::<usize>()
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
    /// If the name is taken or has an empty part, or the shape makes no sense.
    pub fn tensor(&mut self, name: &str, shape: &[i64], init: Init) -> Result<Tensor> {
        self.make(name, shape, init, Ok)
    }

    /// A parameter as its store has it, in the store's kind, for a layer that changes its kind and
    /// layout itself; a new one like [`tensor`](Self::tensor)'s where nothing is stored.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub fn as_stored(&mut self, name: &str, shape: &[i64], init: Init) -> Result<Tensor> {
        let full = format!("{}{name}", self.prefix);
        if let Source::Stored { store, .. } = &self.parameters.source
            && let Some((_, kind)) = store.info(&full)
        {
            let own = std::mem::replace(&mut self.parameters.kind, kind);
            let tensor = self.tensor(name, shape, init);
            self.parameters.kind = own;
            return tensor;
        }
        self.tensor(name, shape, init)
    }

    /// The terms that lie beside a stored weight, in the parameters' kind and on their device.
    pub(crate) fn low_rank(&mut self, name: &str) -> Result<Vec<LowRank>> {
        let (kind, device) = (self.parameters.kind, self.parameters.device);
        let Source::Stored { store, .. } = &mut self.parameters.source else { return Ok(vec![]) };
        let terms = store.remove_beside(&format!("{}{name}", self.prefix));
        terms.iter().map(|term| term.to(kind, device)).collect()
    }

    /// Starts a parameter anew: what follows its layer's own beginning, as networks do that were
    /// written in PyTorch.
    pub fn start_again(&mut self, parameter: &Tensor, init: Init) -> Result<()> {
        let Source::Drawn(generator) = &mut self.parameters.source else { return Ok(()) };
        let t = init.draw(&parameter.size(), generator)?;
        let _guard = tch::no_grad_guard();
        parameter.shallow_clone().f_copy_(&t)?;
        Ok(())
    }

    /// A new parameter `[out, in, height, width]` whose memory has `in` last.
    pub fn channels_last(&mut self, name: &str, shape: &[i64; 4], init: Init) -> Result<Tensor> {
        self.make(name, shape, init, |t| {
            Ok(t.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
        })
    }

    fn make(
        &mut self,
        name: &str,
        shape: &[i64],
        init: Init,
        lay_out: impl Fn(Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let name = format!("{}{name}", self.prefix);
        if self.parameters.taken.contains(&name) {
            return Err(Error::invalid("a parameter's name", name, "one that is not taken"));
        }
        if name.split('.').any(str::is_empty) {
            return Err(Error::invalid("a parameter's name", name, "parts between single dots"));
        }
        crate::tensor::elements(shape)?;
        let (kind, device) = (self.parameters.kind, self.parameters.device);
        let t = match &mut self.parameters.source {
            Source::Drawn(generator) => {
                let t = lay_out(init.draw(shape, generator)?)?;
                t.f_to_device(device)?.f_to_kind(kind)?.f_set_requires_grad(true)?
            }
            Source::Stored { store, mismatch } => {
                let t = stored(store, mismatch, &name, shape)?;
                lay_out(t.f_to_device(device)?.f_to_kind(kind)?)?
            }
        };
        self.parameters.taken.insert(name.clone());
        match self.parameters.source {
            Source::Drawn(_) => self.parameters.named.push((name, t.shallow_clone())),
            Source::Stored { .. } => self.parameters.given += t.numel(),
        }
        Ok(t)
    }
}

/// The tensor of that name; if it is not what is wanted, `mismatch` says so and another stands in.
fn stored(store: &mut Store, mismatch: &mut Mismatch, name: &str, shape: &[i64]) -> Result<Tensor> {
    match store.remove(name)? {
        Some(t) if t.size() != shape => {
            mismatch.misshapen.push((name.to_owned(), shape.to_vec(), t.size()));
        }
        Some(t) if !t.is_floating_point() => {
            mismatch.mistyped.push((name.to_owned(), Kind::Float, t.kind()));
        }
        Some(t) => return Ok(t),
        None => mismatch.missing.push(name.to_owned()),
    }
    Ok(Tensor::f_empty(shape, tch::kind::FLOAT_CPU)?)
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
        assert!(LayerNorm::new(&mut parameters().root(), 0, 1e-5).is_err());
        assert!(GroupNorm::new(&mut parameters().root(), 3, 4, 1e-5).is_err());
        for wrong in [
            Conv2dConfig { groups: 2, ..Default::default() },
            Conv2dConfig { kernel: 0, ..Default::default() },
            Conv2dConfig { padding: -1, ..Default::default() },
        ] {
            assert!(Conv2d::new(&mut parameters().root(), 3, 4, wrong).is_err());
        }
        for name in ["", "a..b", ".a", "a."] {
            assert!(parameters().root().tensor(name, &[1], Init::Zeros).is_err(), "{name}");
        }
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
