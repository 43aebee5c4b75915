//! DiT: a transformer of patches (Peebles & Xie, arXiv:2212.09748), as smalldiffusion has it and
//! with what the field has moved to as settings.

mod config;
mod facebook;
mod patches;

pub use config::{Context, ContextAttention, DitConfig, DitSize, Positions};
pub use facebook::from_facebook;

use crate::checkpointing::{self, Segment};
use crate::embed::{ClassEmbedder, NoiseEmbedder, NoiseEmbedding};
use crate::inputs::{check_input, embed, labels};
use crate::transformer::{Rope, Trunk};
use crate::{Gradients, Loss, ModelSpec, SelfAttention, Trainable};
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
    checkpoints: bool,
    x_embed: Conv2d,
    positions: Place,
    sig_embed: NoiseEmbedder,
    cond_embed: Option<ClassEmbedder>,
    /// Tokens of a context to the width of the image's, where they are one sequence.
    context_embed: Option<Linear>,
    trunk: Trunk,
}

/// How tokens know where they are: what is added to them, or how queries and keys turn.
#[derive(Debug)]
enum Place {
    /// `[1, patches, width]`
    Added(Tensor),
    Turned(Rope),
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
        let mut p = root.sub("cond_embed");
        let cond_embed = config.class_embedding.build(&mut p, width, num_classes, dropout_prob)?;
        let fixed = patches::sin_cos_positions(grid, width, device)?;
        let positions = match config.positions {
            Positions::SinCos => Place::Added(fixed),
            Positions::Rope => Place::Turned(Rope::new(grid, grid, config.head_dim, device)?),
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
        let outputs = patch_size * patch_size * config.out_channels();
        let trunk = Trunk::new(&mut root, config.block(), config.depth, outputs)?;
        let others: Vec<&Linear> = context_embed.iter().collect();
        let starts = trunk.starts(&sig_embed, cond_embed.as_ref(), &others, config.adaln_zero);
        for (parameter, init) in starts {
            root.start_again(&parameter, init)?;
        }
        Ok(Dit {
            x_embed,
            positions,
            sig_embed,
            cond_embed,
            context_embed,
            trunk,
            compute: kind,
            checkpoints: false,
            config: config.clone(),
            parameters,
        })
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
        let DitConfig { image_size, channels, .. } = self.config;
        let (sample, device) = ([channels, image_size, image_size], self.parameters.device());
        let batch = check_input(x, noise, &sample, device)?;
        let context = self.context(cond, batch)?;
        let context = context.map(|c| c.to_device(device).to_kind(self.compute));
        let labels = labels(self.cond_embed.as_ref(), cond, batch, rng)?;
        // Tokens of a context that stand before the image's, or that blocks attend to.
        let (joint, cross) = match self.context_embed {
            Some(_) => (context, None),
            None => (None, context),
        };
        let others = joint.as_ref().map_or(0, |tokens| tokens.size()[1]);
        let rope = match &self.positions {
            Place::Turned(rope) => Some(rope.behind(others, self.compute)),
            Place::Added(_) => None,
        };
        let mut segments: Vec<Segment<'a>> = vec![Box::new(move |_| {
            let (level, class) = ((&self.sig_embed, noise), self.cond_embed.as_ref());
            let y = embed(level, class, labels.as_ref(), self.compute);
            Ok(vec![y, self.tokens(x, joint.as_ref())])
        })];
        segments.extend(self.trunk.segments(cross, rope, identity));
        segments.push(Box::new(move |state| {
            let [y, h] = &state[..] else { return Ok(state) };
            let patches = h.narrow(1, others, h.size()[1] - others);
            Ok(vec![self.image(&patches, y)?.to_kind(x.kind())])
        }));
        Ok(segments)
    }

    /// An image's tokens, behind those of a context that are in one sequence with them.
    fn tokens(&self, x: &Tensor, context: Option<&Tensor>) -> Tensor {
        let tokens = self.x_embed.forward(&x.to_kind(self.compute)).flatten(2, 3).transpose(1, 2);
        let tokens = match &self.positions {
            Place::Added(positions) => &tokens + like(positions, &tokens),
            Place::Turned(_) => tokens,
        };
        match (&self.context_embed, context) {
            (Some(embed), Some(context)) => Tensor::cat(&[embed.forward(context), tokens], 1),
            _ => tokens,
        }
    }

    /// The image that its tokens stand for.
    fn image(&self, h: &Tensor, y: &Tensor) -> Result<Tensor> {
        let (grid, out_channels) = (self.config.grid(), self.config.out_channels());
        let out = self.trunk.finish(h, y)?;
        let image = patches::unpatchify(&out, grid, self.config.patch_size, out_channels);
        Ok(image.narrow(1, 0, self.config.channels))
    }
}

impl Network for Dit {
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

impl SelfAttention for Dit {
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

impl Trainable for Dit {
    fn self_attention(&self) -> Option<&dyn SelfAttention> {
        Some(self)
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn spec(&self) -> ModelSpec {
        ModelSpec::Dit(self.config.clone())
    }

    fn compute_in(&mut self, kind: Kind) {
        self.compute = kind;
    }

    fn checkpoint_activations(&mut self, on: bool) {
        self.checkpoints = on;
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
