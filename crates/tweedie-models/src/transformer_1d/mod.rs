//! A transformer of sequences: DiT's blocks (Peebles & Xie, arXiv:2212.09748) over tokens that are
//! there already, be they vectors or words.

mod config;

pub use config::{SequencePositions, Tokens, Transformer1dConfig};

use crate::checkpointing::{self, Segment};
use crate::embed::{ClassEmbedder, NoiseEmbedder};
use crate::inputs::{check_classes_alone, check_input, check_range, embed, labels};
use crate::transformer::{Rope, Trunk, sin_cos_sequence};
use crate::{Gradients, Loss, ModelSpec, SelfAttention, Trainable};
use tch::{Device, Kind, Tensor};
use tweedie_core::{Cond, Error, Network, NoiseInput, Result};
use tweedie_torch::parameters::{Embedding, Init, Linear, Parameters, Scope, like};
use tweedie_torch::rng::Generator;

/// A transformer of a sequence's tokens, told level and class by its norms and gates (adaLN).
///
/// Its parameters, in this order: `sig_embed.*`, `cond_embed.*`, `x_embed.*` (linear, or a table
/// of words), `pos_embed` where it is learned, and as a [`Dit`](crate::dit::Dit)'s
/// `blocks.N.*`, `final_norm.*` and `final_linear.*`.
#[derive(Debug)]
pub struct Transformer1d {
    config: Transformer1dConfig,
    parameters: Parameters,
    compute: Kind,
    checkpoints: bool,
    sig_embed: NoiseEmbedder,
    cond_embed: Option<ClassEmbedder>,
    x_embed: TokenEmbedder,
    positions: Place,
    trunk: Trunk,
}

#[derive(Debug)]
enum TokenEmbedder {
    Vectors(Linear),
    Words(Embedding),
}

#[derive(Debug)]
enum Place {
    /// `[1, length, width]`
    Added(Tensor),
    Turned(Rope),
    None,
}

impl TokenEmbedder {
    fn new(p: &mut Scope<'_>, tokens: Tokens, width: i64) -> tweedie_torch::Result<Self> {
        Ok(match tokens {
            Tokens::Dim(dim) => TokenEmbedder::Vectors(Linear::new(p, dim, width, true)?),
            Tokens::VocabSize(size) => TokenEmbedder::Words(Embedding::new(p, size, width)?),
        })
    }

    fn forward(&self, x: &Tensor, kind: Kind) -> Tensor {
        match self {
            TokenEmbedder::Vectors(linear) => linear.forward(&x.to_kind(kind)),
            TokenEmbedder::Words(table) => table.forward(x).to_kind(kind),
        }
    }
}

impl Place {
    fn new(
        root: &mut Scope<'_>,
        config: &Transformer1dConfig,
        device: Device,
    ) -> tweedie_torch::Result<Self> {
        let Transformer1dConfig { length, head_dim, .. } = *config;
        let fixed = || sin_cos_sequence(length, config.width(), device);
        Ok(match config.positions {
            SequencePositions::SinCos => Place::Added(fixed()?),
            SequencePositions::Learned => {
                let learned =
                    root.tensor("pos_embed", &[1, length, config.width()], Init::Zeros)?;
                let _guard = tch::no_grad_guard();
                learned.shallow_clone().f_copy_(&fixed()?)?;
                Place::Added(learned)
            }
            SequencePositions::Rope => Place::Turned(Rope::sequence(length, head_dim, device)?),
            SequencePositions::None => Place::None,
        })
    }
}

impl Transformer1d {
    /// A network with the initial weights of a seed: Xavier's for linear layers, small ones for
    /// level, class and words, 0 for the last layer and, with `adaln_zero`, for all modulations.
    pub fn new(
        config: &Transformer1dConfig,
        seed: u64,
        kind: Kind,
        device: Device,
    ) -> crate::Result<Self> {
        config.check()?;
        let width = config.width();
        let mut parameters = Parameters::new(seed, kind, device)?;
        let mut root = parameters.root();
        let sig_embed = config.noise_embedding.build(&mut root.sub("sig_embed"), width)?;
        let cond_embed = config.class_embedding.build(
            &mut root.sub("cond_embed"),
            width,
            config.num_classes,
            config.dropout_prob,
        )?;
        let x_embed = TokenEmbedder::new(&mut root.sub("x_embed"), config.tokens, width)?;
        let positions = Place::new(&mut root, config, device)?;
        let outputs = match config.tokens {
            Tokens::Dim(n) | Tokens::VocabSize(n) => n,
        };
        let trunk = Trunk::new(&mut root, config.block(), config.depth, outputs)?;
        let (mut linears, mut words) = (vec![], None);
        match &x_embed {
            TokenEmbedder::Vectors(linear) => linears.push(linear),
            TokenEmbedder::Words(table) => words = Some((&table.weight, Init::Normal(0.02))),
        }
        let starts = trunk.starts(&sig_embed, cond_embed.as_ref(), &linears, config.adaln_zero);
        let words = words.map(|(table, init)| (table.shallow_clone(), init));
        for (parameter, init) in starts.into_iter().chain(words) {
            root.start_again(&parameter, init)?;
        }
        Ok(Transformer1d {
            sig_embed,
            cond_embed,
            x_embed,
            positions,
            trunk,
            compute: kind,
            checkpoints: false,
            config: config.clone(),
            parameters,
        })
    }

    /// That words are whole numbers of the vocabulary.
    fn check_words(&self, x: &Tensor) -> Result<()> {
        let Tokens::VocabSize(size) = self.config.tokens else { return Ok(()) };
        if x.kind() != Kind::Int64 {
            return Err(Error::invalid("the kind of tokens", format!("{:?}", x.kind()), "Int64"));
        }
        let refuse = |word| Error::invalid("a token", word, format!("0 to {}", size - 1));
        check_range(x, size, refuse)
    }

    /// The pass in parts; everything is checked and drawn here. Between two of them are the
    /// condition and the tokens. Blocks in `identity` have no attention but of tokens to themselves.
    fn segments<'a>(
        &'a self,
        x: &'a Tensor,
        noise: &'a Tensor,
        cond: Option<&Cond>,
        rng: Option<&mut Generator>,
        identity: &'a [usize],
    ) -> Result<Vec<Segment<'a>>> {
        let device = self.parameters.device();
        let batch = check_input(x, noise, &self.config.sample_shape(), device)?;
        self.check_words(x)?;
        check_classes_alone(cond)?;
        let labels = labels(self.cond_embed.as_ref(), cond, batch, rng)?;
        let mut segments: Vec<Segment<'a>> = vec![Box::new(move |_| {
            let (level, class) = ((&self.sig_embed, noise), self.cond_embed.as_ref());
            let y = embed(level, class, labels.as_ref(), self.compute);
            let tokens = self.x_embed.forward(x, self.compute);
            Ok(vec![
                y,
                match &self.positions {
                    Place::Added(positions) => &tokens + like(positions, &tokens),
                    Place::Turned(_) | Place::None => tokens,
                },
            ])
        })];
        let rope = match &self.positions {
            Place::Turned(rope) => Some(rope.behind(0, self.compute)),
            Place::Added(_) | Place::None => None,
        };
        segments.extend(self.trunk.segments(None, rope, identity));
        // Logits have the kind of the weights, which numbers that count have not.
        let kind = if x.is_floating_point() { x.kind() } else { self.parameters.kind() };
        segments.push(Box::new(move |state| {
            let [y, h] = &state[..] else { return Ok(state) };
            Ok(vec![self.trunk.finish(h, y)?.to_kind(kind)])
        }));
        Ok(segments)
    }
}

impl Network for Transformer1d {
    fn forward(&self, x: &Tensor, noise: &Tensor, cond: Option<&Cond>) -> Result<Tensor> {
        checkpointing::answer(&self.segments(x, noise, cond, None, &[])?)
    }

    fn null_cond(&self, batch: i64) -> Option<Cond> {
        self.cond_embed.as_ref().map(|c| c.null_cond(batch))
    }

    fn takes(&self, noise: NoiseInput) -> bool {
        self.config.noise_embedding.takes(noise)
    }
}

impl SelfAttention for Transformer1d {
    fn attention_layers(&self) -> Vec<String> {
        self.trunk.names()
    }

    fn forward_identity(
        &self,
        x: &Tensor,
        noise: &Tensor,
        cond: Option<&Cond>,
        layers: &[usize],
    ) -> Result<Tensor> {
        checkpointing::answer(&self.segments(x, noise, cond, None, layers)?)
    }
}

impl Trainable for Transformer1d {
    fn self_attention(&self) -> Option<&dyn SelfAttention> {
        Some(self)
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn spec(&self) -> ModelSpec {
        ModelSpec::Transformer1d(self.config.clone())
    }

    fn compute_in(&mut self, kind: Kind) {
        self.compute = kind;
    }

    fn compute_kind(&self) -> Kind {
        self.compute
    }

    fn checkpoint_activations(&mut self, on: bool) {
        self.checkpoints = on;
    }

    fn forward_train(
        &self,
        x: &Tensor,
        noise: &Tensor,
        cond: Option<&Cond>,
        rng: &mut Generator,
    ) -> Result<Tensor> {
        checkpointing::answer(&self.segments(x, noise, cond, Some(rng), &[])?)
    }

    fn gradients(
        &self,
        x: &Tensor,
        noise: &Tensor,
        cond: Option<&Cond>,
        rng: &mut Generator,
        loss: &mut Loss<'_>,
    ) -> Result<Gradients> {
        let segments = self.segments(x, noise, cond, Some(rng), &[])?;
        checkpointing::gradients(&segments, self.checkpoints, &self.parameters, loss)
    }
}
