//! What a network is asked and what it should have answered.

use crate::{Result, Weighting};
use tch::{Kind, Tensor};
use tweedie_core::noise::{normals, philox, stream};
use tweedie_core::{Coefficients, NoiseLevel, Parametrization};
use tweedie_schedules::LevelSampler;
use tweedie_torch::tensor;

/// The loss: squared error of the network's output against the target of its parametrisation, at
/// levels drawn from a distribution, weighted.
pub struct Objective {
    /// What input and output mean.
    pub parametrization: Parametrization,
    /// How much a level counts.
    pub weighting: Weighting,
    /// Which levels are drawn.
    pub levels: Box<dyn LevelSampler + Send + Sync>,
}

impl std::fmt::Debug for Objective {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Objective { parametrization, weighting, .. } = self;
        f.debug_struct("Objective")
            .field("parametrization", parametrization)
            .field("weighting", weighting)
            .finish_non_exhaustive()
    }
}

/// One batch as the network sees it.
#[derive(Debug)]
pub struct Example {
    /// The scaled noisy data, `[batch, …]`.
    pub input: Tensor,
    /// What the network is told of the levels, `[batch]`.
    pub noise: Tensor,
    /// The right output, `[batch, …]`.
    pub target: Tensor,
    /// Weights, `[batch, 1, …]`; none if all are 1.
    pub weights: Option<Tensor>,
    /// The level of each sample.
    pub levels: Vec<NoiseLevel>,
}

/// Where the random numbers of a batch come from: they are a function of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The run's seed.
    pub seed: u64,
    /// The number of the batch within the run.
    pub index: u64,
}

impl Draw {
    /// The address of these numbers for one purpose and block.
    pub(crate) fn key(self, stream: u32, block: u32) -> philox::Key {
        // A batch number beyond 2³² goes on in the seed.
        let seed = self.seed ^ (self.index >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        philox::Key { seed, stream, sample: block, draw: self.index as u32 }
    }

    /// A seed for generators that want one.
    pub fn labels_seed(self) -> u64 {
        let mut words = [0; 2];
        philox::words(self.key(stream::LABELS, 0), &mut words);
        u64::from(words[0]) << 32 | u64::from(words[1])
    }
}

/// Noise is made in rows of so many numbers, each with an address of its own.
const ROW: i64 = 1 << 14;

impl Objective {
    /// Draws levels and noise for the data `x0`, `[batch, …]`.
    pub fn example(&self, x0: &Tensor, draw: Draw) -> Result<Example> {
        let mut uniform = vec![0.0; x0.size().first().map_or(0, |&b| b as usize)];
        philox::uniforms(draw.key(stream::LEVELS, 0), &mut uniform);
        let levels: Vec<NoiseLevel> = uniform.iter().map(|&u| self.levels.level(u)).collect();
        self.example_at(x0, &levels, &noise_like(x0, draw, stream::TRAINING)?)
    }

    /// The same for given levels, one a sample, and noise in the shape of `x0`.
    pub fn example_at(&self, x0: &Tensor, levels: &[NoiseLevel], eps: &Tensor) -> Result<Example> {
        let batch = levels.len();
        let coefficients = levels.iter().map(|&l| self.parametrization.coefficients(l));
        let coefficients: Vec<Coefficients> = coefficients.collect::<tweedie_core::Result<_>>()?;
        let weigh = |(l, c): (&NoiseLevel, &Coefficients)| self.weighting.of_output(*l, c);
        let weights: Vec<f64> = levels.iter().zip(&coefficients).map(weigh).collect();
        // One small tensor with a row for each coefficient.
        let pairs = || levels.iter().zip(&coefficients);
        let rows: Vec<f32> = pairs()
            .map(|(l, c)| c.c_in * l.alpha)
            .chain(pairs().map(|(l, c)| c.c_in * l.sigma))
            .chain(coefficients.iter().map(|c| c.target_x0))
            .chain(coefficients.iter().map(|c| c.target_eps))
            .chain(weights.iter().copied())
            .chain(coefficients.iter().map(|c| c.c_noise))
            .map(|v| v as f32)
            .collect();
        let rows = tensor::from_f32(&rows, &[6, batch as i64])?.to_device(x0.device());
        let mut column = vec![batch as i64];
        column.resize(x0.dim(), 1);
        let row = |i: i64| rows.select(0, i).view(column.as_slice());

        let input = (eps * row(1)).addcmul_(x0, &row(0));
        let plain_eps = coefficients.iter().all(|c| c.target_x0 == 0.0 && c.target_eps == 1.0);
        let target = match plain_eps {
            true => eps.shallow_clone(),
            false => (eps * row(3)).addcmul_(x0, &row(2)),
        };
        let weighted = weights.iter().any(|&w| w != 1.0);
        let (noise, weights) = (rows.select(0, 5), weighted.then(|| row(4)));
        Ok(Example { input, noise, target, weights, levels: levels.to_vec() })
    }
}

impl Example {
    /// The weighted mean squared error of `output`, and its gradient with respect to `output`.
    pub fn loss(&self, output: &Tensor) -> (Tensor, Tensor) {
        let mut gradient = output.to_kind(Kind::Float) - &self.target;
        let n = output.numel().max(1) as f64;
        let loss = match &self.weights {
            None => gradient.square().mean(Kind::Float),
            Some(weights) => {
                let loss = (gradient.square() * weights).mean(Kind::Float);
                gradient = gradient.g_mul_(weights);
                loss
            }
        };
        (loss, gradient.g_mul_scalar_(2.0 / n))
    }
}

/// Standard normal numbers in the shape of `x0`, on its device.
pub(crate) fn noise_like(x0: &Tensor, draw: Draw, stream: u32) -> Result<Tensor> {
    let n = x0.numel() as i64;
    let rows = (n + ROW - 1) / ROW;
    let width = if rows == 1 { n } else { ROW };
    let mut eps = Tensor::empty([rows, width], (Kind::Float, tch::Device::Cpu));
    let key = |row| draw.key(stream, row as u32);
    tensor::fill_rows_f32(&mut eps, |row, values| normals(key(row), values))?;
    let eps = if rows == 1 { eps } else { eps.flatten(0, 1).narrow(0, 0, n) };
    Ok(eps.view(x0.size().as_slice()).to_device(x0.device()))
}
