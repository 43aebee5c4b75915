//! The settings of a text encoder, as `text_encoder/config.json` has them.

use crate::options::Options;
use crate::{Error, Result};
use serde_json::json;
use std::path::Path;

/// The settings of a [`ClipText`](super::ClipText), under transformers' names (`CLIPTextConfig`).
#[derive(Clone, Debug, PartialEq)]
pub struct ClipConfig {
    /// The number of tokens that it knows.
    pub vocab_size: i64,
    /// The width of a token.
    pub hidden_size: i64,
    /// The width within a feed-forward layer.
    pub intermediate_size: i64,
    /// The number of layers.
    pub num_hidden_layers: i64,
    /// Heads of the attention.
    pub num_attention_heads: i64,
    /// The most tokens at a time.
    pub max_position_embeddings: i64,
    /// GELU's form.
    pub activation: Activation,
    /// What the norms add to the variance.
    pub layer_norm_eps: f64,
    /// The width of the projected pooled token, where the model has a projection.
    pub projection_dim: Option<i64>,
    /// The token whose state is the pooled one; the first of the highest number if there is none.
    pub eos_token_id: Option<i64>,
}

/// The form of GELU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x·sigmoid(1.702·x)`: OpenAI's models.
    QuickGelu,
    /// The exact one: OpenCLIP's.
    Gelu,
}

impl ClipConfig {
    /// Reads `text_encoder/config.json`.
    ///
    /// # Errors
    /// For another class, a value outside its range, and an option that is not known.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(Options::read(path)?)
    }

    /// From settings that are read already.
    pub(crate) fn parse(mut o: Options) -> Result<Self> {
        let path = &o.path().to_path_buf();
        let classes: Vec<String> = o.or("architectures", vec!["CLIPTextModel".to_owned()])?;
        let projects = match classes.first().map(String::as_str) {
            Some("CLIPTextModel") => false,
            Some("CLIPTextModelWithProjection") => true,
            _ => {
                let expected = "CLIPTextModel or CLIPTextModelWithProjection";
                return Err(o.wrong("architectures", &format!("{classes:?}"), &expected));
            }
        };
        let act: String = o.or("hidden_act", "quick_gelu".to_owned())?;
        let activation = match act.as_str() {
            "quick_gelu" => Activation::QuickGelu,
            "gelu" => Activation::Gelu,
            _ => return Err(o.wrong("hidden_act", &act, &"quick_gelu or gelu")),
        };
        let projection_dim = o.or("projection_dim", 512)?;
        // Transformers once wrote 2 for models whose end token is another one.
        let eos: i64 = o.or("eos_token_id", 49407)?;
        let config = ClipConfig {
            vocab_size: o.or("vocab_size", 49408)?,
            hidden_size: o.or("hidden_size", 512)?,
            intermediate_size: o.or("intermediate_size", 2048)?,
            num_hidden_layers: o.or("num_hidden_layers", 12)?,
            num_attention_heads: o.or("num_attention_heads", 8)?,
            max_position_embeddings: o.or("max_position_embeddings", 77)?,
            activation,
            layer_norm_eps: o.or("layer_norm_eps", 1e-5)?,
            projection_dim: projects.then_some(projection_dim),
            eos_token_id: (eos != 2).then_some(eos),
        };
        o.only(&[("model_type", json!("clip_text_model")), ("attention_dropout", json!(0.0))])?;
        config.check(path)?;
        // Transformers writes dozens of options of its generation code into every file: what is not
        // taken above does not touch the numbers.
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<()> {
        let numbers = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("max_position_embeddings", self.max_position_embeddings),
            ("projection_dim", self.projection_dim.unwrap_or(1)),
        ];
        for (key, value) in numbers {
            // A claim of more layers would keep the machine busy before it is found out.
            let most = if key == "num_hidden_layers" { 1 << 10 } else { 1 << 20 };
            if !(1..=most).contains(&value) {
                return Err(Error::model(path, format!("{key} is {value}, expected 1 to {most}")));
            }
        }
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        if width % heads != 0 {
            let problem = format!("hidden_size {width} is no multiple of {heads} attention heads");
            return Err(Error::model(path, problem));
        }
        Ok(())
    }
}
