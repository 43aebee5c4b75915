//! DiT: a transformer of patches (Peebles & Xie, arXiv:2212.09748), as smalldiffusion has it and
//! with what the field has moved to as settings.

mod config;
mod facebook;
mod patches;

pub use config::{ClassEmbedding, Context, ContextAttention, DitConfig, DitSize, Positions};
pub use facebook::from_facebook;

use crate::embed::{ClassEmbedder, NoiseEmbedder, NoiseEmbedding};
use crate::images::{check_input, embed_class};
use crate::transformer::{Block, ModulatedLayerNorm, Rope};
use crate::{ModelSpec, Trainable};
use tch::{Device, Kind, Tensor};
use tweedie_core::{Cond, Error, Network, NoiseInput, Result};
use tweedie_torch::parameters::{Conv2d, Conv2dConfig, Init, Linear, Parameters, Scope, like};
use tweedie_torch::rng::Generator;
use tweedie_torch::weights::StateDict;

/// A transformer of an image's patches. Its parameters have smalldiffusion's names.
#[derive(Debug)]
pub struct Dit {
    config: DitConfig,
    parameters: Parameters,
    compute: Kind,
    x_embed: Conv2d,
    positions: Place,
    sig_embed: NoiseEmbedder,
    cond_embed: Option<ClassEmbedder>,
    /// Tokens of a context to the width of the image's, where they are one sequence.
    context_embed: Option<Linear>,
    blocks: Vec<Block>,
    final_norm: ModulatedLayerNorm,
    final_linear: Linear,
}

/// How tokens know where they are: what is added to them, or how queries and keys turn.
#[derive(Debug)]
enum Place {
    /// `[1, patches, width]`
    Added(Tensor),
    Turned,
}

impl Dit {
    /// A network whose weights are those of
    /// `torch.manual_seed(seed); DiT(…, cond_embed=CondEmbedderLabel(…))` of smalldiffusion, for
    /// settings that it has.
    pub fn new(config: &DitConfig, seed: u64, kind: Kind, device: Device) -> crate::Result<Self> {
        config.check()?;
        let (width, grid) = (config.width(), config.grid());
        let mut parameters = Parameters::new(seed, kind, device)?;
        let mut root = parameters.root();
        let DitConfig { num_classes, dropout_prob, patch_size, .. } = *config;
        // What smalldiffusion is given is drawn before what it makes itself.
        let own = config.noise_embedding == NoiseEmbedding::SinCos;
        let embed_noise =
            |root: &mut Scope<'_>| config.noise_embedding.build(&mut root.sub("sig_embed"), width);
        let given = if own { None } else { Some(embed_noise(&mut root)?) };
        let cond_embed = match (num_classes, config.class_embedding) {
            (0, _) => None,
            (n, ClassEmbedding::Mlp) => {
                Some(ClassEmbedder::new(&mut root.sub("cond_embed"), width, n, dropout_prob)?)
            }
            (n, ClassEmbedding::Table) => {
                Some(ClassEmbedder::table(&mut root.sub("cond_embed"), width, n, dropout_prob)?)
            }
        };
        let fixed = patches::sin_cos_positions(grid, width, device)?;
        let positions = match config.positions {
            Positions::SinCos => Place::Added(fixed),
            Positions::Rope => Place::Turned,
            Positions::Learned => {
                let learned = root.tensor("pos_embed", &fixed.size(), Init::Zeros)?;
                let _guard = tch::no_grad_guard();
                learned.shallow_clone().copy_(&fixed);
                Place::Added(learned)
            }
        };
        let patch = Conv2dConfig {
            kernel: patch_size,
            stride: patch_size,
            padding: 0,
            ..Default::default()
        };
        let x_embed = Conv2d::new(&mut root.sub("x_embed.proj"), config.channels, width, patch)?;
        // PyTorch draws these two times: as a convolution's, then as a linear layer's.
        let inputs = config.channels * patch_size * patch_size;
        let mut again = vec![(x_embed.weight.shallow_clone(), Init::xavier(inputs, width))];
        again.extend(x_embed.bias.iter().map(|b| (b.shallow_clone(), Init::Zeros)));
        for (parameter, init) in again {
            root.start_again(&parameter, init)?;
        }
        let sig_embed = given.map_or_else(|| embed_noise(&mut root), Ok)?;
        let context_embed = match config.context {
            Some(Context { dim, attention: ContextAttention::Joint }) => {
                Some(Linear::new(&mut root.sub("context_embed"), dim, width, true)?)
            }
            _ => None,
        };
        let block = |i| Block::new(&mut root.sub(format_args!("blocks.{i}")), config.block());
        let blocks = (0..config.depth).map(block).collect::<tweedie_torch::Result<_>>()?;
        let outputs = patch_size * patch_size * config.out_channels();
        let dit = Dit {
            x_embed,
            positions,
            sig_embed,
            cond_embed,
            context_embed,
            blocks,
            final_norm: ModulatedLayerNorm::new(&mut root.sub("final_norm"), width)?,
            final_linear: Linear::new(&mut root.sub("final_linear"), width, outputs, true)?,
            compute: kind,
            config: config.clone(),
            parameters,
        };
        dit.initialised()
    }

    /// All linear layers as the paper and smalldiffusion have them begin: Xavier's, without bias;
    /// the level's small; the last layer 0. With adaLN-Zero all modulations are 0 too.
    fn initialised(mut self) -> crate::Result<Self> {
        let noise = self.sig_embed.linears();
        let class = self.cond_embed.as_ref().map(ClassEmbedder::parts);
        let mut linears = noise.clone();
        linears.extend(class.and_then(|(_, mlp)| mlp));
        linears.extend(self.context_embed.as_ref());
        linears.extend(self.blocks.iter().flat_map(Block::linears));
        linears.extend([self.final_norm.modulation.linear(), &self.final_linear]);
        let xavier = |l: &&Linear| {
            let size = l.weight.size();
            let bias = l.bias.as_ref().map(|b| (b.shallow_clone(), Init::Zeros));
            [Some((l.weight.shallow_clone(), Init::xavier(size[1], size[0]))), bias]
        };
        let mut starts: Vec<(Tensor, Init)> = linears.iter().flat_map(xavier).flatten().collect();
        let weight = |l: &Linear, init| (l.weight.shallow_clone(), init);
        starts.extend(noise.iter().take(2).map(|l| weight(l, Init::Normal(0.02))));
        if let Some((table, None)) = class {
            starts.push((table.weight.shallow_clone(), Init::Normal(0.02)));
        }
        if self.config.adaln_zero {
            let modulations = self.blocks.iter().flat_map(Block::modulations);
            let modulations = modulations.chain([self.final_norm.modulation.linear()]);
            starts.extend(modulations.map(|l| weight(l, Init::Zeros)));
        }
        starts.push(weight(&self.final_linear, Init::Zeros));
        for (parameter, init) in starts {
            self.parameters.root().start_again(&parameter, init)?;
        }
        Ok(self)
    }

    /// The tokens that the network attends to besides the image's, checked.
    fn context<'a>(&self, cond: Option<&'a Cond>, batch: i64) -> Result<Option<&'a Tensor>> {
        if cond.is_some_and(|c| c.vector.is_some()) {
            return Err(Error::Condition("this model takes no pooled vector".into()));
        }
        match (self.config.context, cond.and_then(|c| c.context.as_ref())) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Error::Condition("this model takes no context".into())),
            (Some(_), None) => {
                Err(Error::Condition("this model needs a context to attend to".into()))
            }
            (Some(Context { dim, .. }), Some(context)) => match context.size()[..] {
                [b, _, d] if b == batch && d == dim => Ok(Some(context)),
                _ => {
                    let expected = format!("[{batch}, length, {dim}]");
                    Err(Error::shape("the context", expected, &context.size()))
                }
            },
        }
    }

    fn answer(
        &self,
        x: &Tensor,
        noise: &Tensor,
        cond: Option<&Cond>,
        rng: Option<&mut Generator>,
    ) -> Result<Tensor> {
        let DitConfig { image_size, channels, patch_size, head_dim, .. } = self.config;
        let batch = check_input(x, noise, &[channels, image_size, image_size])?;
        let context = self.context(cond, batch)?.map(|c| c.to_kind(self.compute));
        let class = embed_class(self.cond_embed.as_ref(), cond, batch, rng)?;
        let mut y = self.sig_embed.forward(noise);
        if let Some(class) = class {
            y += class;
        }
        let y = y.silu().to_kind(self.compute);
        let tokens = self.x_embed.forward(&x.to_kind(self.compute)).flatten(2, 3).transpose(1, 2);
        let mut h = match &self.positions {
            Place::Added(positions) => tokens + like(positions, &y),
            Place::Turned => tokens,
        };
        let patches = h.size()[1];
        if let (Some(embed), Some(tokens)) = (&self.context_embed, &context) {
            h = Tensor::cat(&[embed.forward(tokens), h], 1);
        }
        let others = h.size()[1] - patches;
        let rope = match self.positions {
            Place::Turned => {
                let grid = self.config.grid();
                Some(Rope::new(grid, grid, others, head_dim, x.device())?)
            }
            Place::Added(_) => None,
        };
        for block in &self.blocks {
            h = block.forward(&h, &y, context.as_ref(), rope.as_ref());
        }
        if others > 0 {
            h = h.narrow(1, others, patches);
        }
        let out = self.final_linear.forward(&self.final_norm.forward(&h, &y));
        let image =
            patches::unpatchify(&out, self.config.grid(), patch_size, self.config.out_channels());
        Ok(image.narrow(1, 0, channels).to_kind(x.kind()))
    }
}

impl Network for Dit {
    fn forward(&self, x: &Tensor, noise: &Tensor, cond: Option<&Cond>) -> Result<Tensor> {
        self.answer(x, noise, cond, None)
    }

    fn null_cond(&self, batch: i64) -> Option<Cond> {
        self.cond_embed.as_ref().map(|c| c.null_cond(batch))
    }

    fn takes(&self, noise: NoiseInput) -> bool {
        self.config.noise_embedding.takes(noise)
    }
}

impl Trainable for Dit {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn spec(&self) -> ModelSpec {
        ModelSpec::Dit(self.config.clone())
    }

    fn compute_in(&mut self, kind: Kind) {
        self.compute = kind;
    }

    fn compute_kind(&self) -> Kind {
        self.compute
    }

    /// smalldiffusion saves its fixed positions as a tensor; ours are computed.
    fn adapt(&self, dict: &mut StateDict) {
        if matches!(self.config.positions, Positions::SinCos | Positions::Rope) {
            dict.remove("pos_embed");
        }
    }

    fn forward_train(
        &self,
        x: &Tensor,
        noise: &Tensor,
        cond: Option<&Cond>,
        rng: &mut Generator,
    ) -> Result<Tensor> {
        self.answer(x, noise, cond, Some(rng))
    }
}
