//! The text encoders (transformers' `CLIPTextModel` and `CLIPTextModelWithProjection`).

mod config;
mod layer;

pub use config::{Activation, ClipConfig};

use crate::text::LearnedRows;
use crate::{Error, Result};
use layer::Layer;
use tch::{Device, Kind, Tensor};
use tweedie_torch::parameters::{Embedding, LayerNorm, Linear, Parameters, Scope};
use tweedie_torch::weights::Store;

/// The text half of CLIP (Radford et al., arXiv:2103.00020): a causal transformer over tokens.
#[derive(Debug)]
pub struct ClipText {
    config: ClipConfig,
    parameters: Parameters,
    layers: Layers,
}

#[derive(Debug)]
struct Layers {
    tokens: Embedding,
    positions: Tensor,
    blocks: Vec<Layer>,
    final_norm: LayerNorm,
    projection: Option<Linear>,
}

/// What a text encoder says of tokens.
#[derive(Debug)]
pub struct Encoded {
    /// The states after each layer, from the last: `[batch, length, hidden_size]`. The last one,
    /// `states[0]`, comes before the final norm.
    pub states: Vec<Tensor>,
    /// The state of the end token after the final norm, projected where the model has a projection:
    /// `[batch, …]`.
    pub pooled: Tensor,
}

impl Layers {
    fn new(p: &mut Scope<'_>, c: &ClipConfig) -> tweedie_torch::Result<Self> {
        let zeros = tweedie_torch::parameters::Init::Zeros;
        let mut text = p.sub("text_model");
        let mut embeddings = text.sub("embeddings");
        let tokens =
            Embedding::new(&mut embeddings.sub("token_embedding"), c.vocab_size, c.hidden_size)?;
        let shape = [c.max_position_embeddings, c.hidden_size];
        let positions = embeddings.sub("position_embedding").tensor("weight", &shape, zeros)?;
        let block = |k| Layer::new(&mut text.sub("encoder.layers").sub(k), c);
        let blocks = (0..c.num_hidden_layers).map(block).collect::<tweedie_torch::Result<_>>()?;
        let final_norm =
            LayerNorm::new(&mut text.sub("final_layer_norm"), c.hidden_size, c.layer_norm_eps)?;
        let projection = match c.projection_dim {
            Some(n) => Some(Linear::new(&mut p.sub("text_projection"), c.hidden_size, n, false)?),
            None => None,
        };
        Ok(Layers { tokens, positions, blocks, final_norm, projection })
    }
}

impl ClipText {
    /// The network with the weights of `store`, which compute as `kind` on `device`; `part` is what
    /// errors call it.
    ///
    /// # Errors
    /// If the store has not exactly the tensors that `config` asks for.
    pub fn new(
        part: &str,
        config: ClipConfig,
        store: Store,
        kind: Kind,
        device: Device,
    ) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        let weights = |source| Error::Weights { part: part.to_owned(), source };
        let store = store.renamed(|name| Some(full_name(name))).map_err(weights)?;
        let mut parameters = Parameters::stored(store, kind, device);
        let build = |parameters: &mut Parameters| {
            let layers = Layers::new(&mut parameters.root(), &config)?;
            // Counted positions that older files have as a tensor, and CLIP's way to compare
            // with pictures, which some exports keep.
            parameters.finish(|name| name.ends_with("position_ids") || name == "logit_scale")?;
            Ok(layers)
        };
        let layers = build(&mut parameters).map_err(weights)?;
        Ok(ClipText { config, parameters, layers })
    }

    /// Its settings.
    pub fn config(&self) -> &ClipConfig {
        &self.config
    }

    /// Its parameters: what they are and where they compute; the layers have the numbers.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Learns further tokens.
    ///
    /// # Errors
    /// If their width is another.
    pub fn learn(&mut self, rows: &LearnedRows) -> Result<()> {
        self.layers.tokens.weight = rows.extend(&self.layers.tokens.weight)?;
        Ok(())
    }

    /// Encodes tokens, `[batch, length]` of 64-bit integers.
    ///
    /// # Errors
    /// If there are more tokens than positions, or numbers that are no tokens.
    pub fn forward(&self, ids: &Tensor) -> Result<Encoded> {
        let _guard = tch::no_grad_guard();
        let net = &self.layers;
        self.check(ids)?;
        let length = ids.size()[1];
        let mut x = net.tokens.forward(ids).f_add(&net.positions.f_narrow(0, 0, length)?)?;
        let mut states = vec![];
        for block in &net.blocks {
            x = block.forward(&x)?;
            states.push(x.shallow_clone());
        }
        states.reverse();
        let end = self
            .end_tokens(ids)?
            .f_view([-1, 1, 1])?
            .f_expand([-1, 1, self.config.hidden_size], false)?;
        let end = net.final_norm.forward(&x).f_gather(1, &end, false)?.f_squeeze_dim(1)?;
        let pooled =
            net.projection.as_ref().map_or_else(|| end.shallow_clone(), |p| p.forward(&end));
        Ok(Encoded { states, pooled })
    }

    /// The final norm, which Stable Diffusion 1 and 2 apply to whichever state they use.
    pub fn final_norm(&self, state: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        self.layers.final_norm.forward(state)
    }

    fn check(&self, ids: &Tensor) -> Result<()> {
        let (size, most) = (ids.size(), self.config.max_position_embeddings);
        if size.len() != 2 || size.contains(&0) || size[1] > most {
            return Err(Error::shape("tokens", format!("[batch, at most {most}]"), &size));
        }
        let known = self.layers.tokens.weight.size()[0];
        let (low, high) = (i64::try_from(ids.f_min()?), i64::try_from(ids.f_max()?));
        match (low, high) {
            (Ok(low), Ok(high)) if low >= 0 && high < known => Ok(()),
            (low, high) => {
                let found = format!("from {:?} to {:?}", low.ok(), high.ok());
                let expected = format!("0 to {}: is the tokenizer another model's?", known - 1);
                Err(Error::invalid("the tokens' numbers", found, expected))
            }
        }
    }

    /// Where the end token is first, `[batch]`.
    fn end_tokens(&self, ids: &Tensor) -> Result<Tensor> {
        Ok(match self.config.eos_token_id {
            Some(eos) => ids.f_eq(eos)?.f_to_kind(Kind::Int)?.f_argmax(1, false)?,
            None => ids.f_to_kind(Kind::Int)?.f_argmax(1, false)?,
        })
    }
}

/// Transformers 5 leaves out the prefix that published files have.
fn full_name(name: &str) -> String {
    match name.starts_with("text_model.")
        || name.starts_with("text_projection.")
        || name == "logit_scale"
    {
        true => name.to_owned(),
        false => format!("text_model.{name}"),
    }
}
