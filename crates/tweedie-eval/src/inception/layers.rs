//! A convolution with its batch norm folded in, and blocks of parallel branches of them.

use crate::Result;
use tch::{Kind, Tensor};

/// What makes a convolution: a first pass through the network collects names and shapes, a second
/// one hands out weights.
pub(super) type Maker<'m> = dyn FnMut(&str, [i64; 4]) -> Result<(Tensor, Tensor)> + 'm;

/// Name, outputs, kernel, stride, padding.
pub(super) type Spec = (&'static str, i64, [i64; 2], i64, [i64; 2]);

/// A convolution, its batch norm and a rectifier.
#[derive(Debug)]
pub(super) struct Conv {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    padding: [i64; 2],
}

impl Conv {
    /// Of `inputs` channels; the channels that come out.
    pub(super) fn new(
        make: &mut Maker<'_>,
        place: &str,
        inputs: i64,
        &(name, outputs, [height, width], stride, padding): &Spec,
    ) -> Result<(Self, i64)> {
        let name = if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
        let (weight, bias) = make(&name, [outputs, inputs, height, width])?;
        Ok((Conv { weight, bias, stride, padding }, outputs))
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let stride = [self.stride; 2];
        x.conv2d(&self.weight, Some(&self.bias), stride, self.padding, [1, 1], 1).relu_()
    }
}

/// `weight` and `bias` of a convolution that does what one without bias and a batch norm with
/// eps = 1e-3 do; computed in double precision.
pub(super) fn fold(weight: &Tensor, [gain, shift, mean, var]: [&Tensor; 4]) -> (Tensor, Tensor) {
    const EPS: f64 = 1e-3;
    let double = |t: &Tensor| t.to_kind(Kind::Double);
    let scale = double(gain) / (double(var) + EPS).sqrt();
    let bias = double(shift) - double(mean) * &scale;
    let weight = double(weight) * scale.reshape([-1, 1, 1, 1]);
    let last = weight.to_kind(Kind::Float).permute([0, 2, 3, 1]).contiguous();
    (last.permute([0, 3, 1, 2]), bias.to_kind(Kind::Float))
}

/// How a branch shrinks or smooths before its convolution, if it has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pool {
    /// The mean of 3×3 pixels, of those that are there: FID's network leaves out the padding.
    Mean,
    /// The largest of 3×3 pixels, at every pixel: FID's network in its last block.
    Max,
    /// The largest of 3×3 pixels, at every second one, without padding.
    MaxHalved,
}

impl Pool {
    pub(super) fn forward(self, x: &Tensor) -> Tensor {
        match self {
            Pool::Mean => x.avg_pool2d([3, 3], [1, 1], [1, 1], false, false, None::<i64>),
            Pool::Max => x.max_pool2d([3, 3], [1, 1], [1, 1], [1, 1], false),
            Pool::MaxHalved => x.max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], false),
        }
    }
}

/// A way through a block.
#[derive(Debug)]
pub(super) struct Branch {
    pool: Option<Pool>,
    /// One after the other.
    chain: Vec<Conv>,
    /// At the end, side by side.
    fork: Vec<Conv>,
}

/// A branch as it is written down.
pub(super) struct BranchSpec<'s> {
    pub(super) pool: Option<Pool>,
    pub(super) chain: &'s [Spec],
    pub(super) fork: &'s [Spec],
}

/// Branches side by side, their outputs one after the other.
#[derive(Debug)]
pub(super) struct Block(Vec<Branch>);

impl Block {
    /// Of `inputs` channels; the channels that come out.
    pub(super) fn new(
        make: &mut Maker<'_>,
        place: &str,
        inputs: i64,
        branches: &[BranchSpec<'_>],
    ) -> Result<(Self, i64)> {
        let (mut made, mut total) = (vec![], 0);
        for spec in branches {
            let (mut chain, mut fork, mut channels, mut forked) = (vec![], vec![], inputs, 0);
            for conv in spec.chain {
                let (conv, outputs) = Conv::new(make, place, channels, conv)?;
                chain.push(conv);
                channels = outputs;
            }
            for conv in spec.fork {
                let (conv, outputs) = Conv::new(make, place, channels, conv)?;
                fork.push(conv);
                forked += outputs;
            }
            total += if fork.is_empty() { channels } else { forked };
            made.push(Branch { pool: spec.pool, chain, fork });
        }
        Ok((Block(made), total))
    }

    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let outputs: Vec<Tensor> = self.0.iter().flat_map(|branch| branch.forward(x)).collect();
        Tensor::cat(&outputs, 1)
    }
}

impl Branch {
    fn forward(&self, x: &Tensor) -> Vec<Tensor> {
        let x = self.pool.map_or_else(|| x.shallow_clone(), |pool| pool.forward(x));
        let x = self.chain.iter().fold(x, |x, conv| conv.forward(&x));
        match self.fork[..] {
            [] => vec![x],
            _ => self.fork.iter().map(|conv| conv.forward(&x)).collect(),
        }
    }
}
