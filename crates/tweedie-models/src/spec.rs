//! Models as settings: what a recipe says and what a weights file remembers.

use crate::dit::{Dit, DitConfig};
use crate::mlp::{ConditionalMlp, ConditionalMlpConfig, TimeInputMlp, TimeInputMlpConfig};
use crate::transformer_1d::{Transformer1d, Transformer1dConfig};
use crate::unet::{Unet, UnetConfig};
use crate::{Error, Result, Trainable};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

/// The settings of any model here; `type` says which.
///
/// ```
/// use tweedie_models::ModelSpec;
/// let text = r#"{"type": "time-input-mlp", "dim": 2, "hidden_dims": [16, 16]}"#;
/// let spec: ModelSpec = serde_json::from_str(text).unwrap();
/// let model = spec.build(0, tch::Kind::Float, tch::Device::Cpu).unwrap();
/// assert_eq!(model.parameters().count(), (4 + 1) * 16 + (16 + 1) * 16 + (16 + 1) * 2);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ModelSpec {
    /// [`TimeInputMlp`]: points, without a class.
    TimeInputMlp(TimeInputMlpConfig),
    /// [`ConditionalMlp`]: points with a class.
    ConditionalMlp(ConditionalMlpConfig),
    /// [`Unet`]: images, with or without a class.
    Unet(UnetConfig),
    /// [`Dit`]: images, with or without a class or a context.
    Dit(DitConfig),
    /// [`Transformer1d`]: sequences of vectors or words, with or without a class.
    #[serde(rename = "transformer-1d")]
    Transformer1d(Transformer1dConfig),
    // The next model: a file or folder beside `mlp/` with `XConfig`, `X::new` and
    // `impl Trainable for X`, a variant here, a line in each match below, a name in NAMES.
}

impl ModelSpec {
    /// Every `type` there is.
    pub const NAMES: &[&str] =
        &["time-input-mlp", "conditional-mlp", "unet", "dit", "transformer-1d"];

    /// Its `type`.
    pub fn name(&self) -> &'static str {
        match self {
            ModelSpec::TimeInputMlp(_) => "time-input-mlp",
            ModelSpec::ConditionalMlp(_) => "conditional-mlp",
            ModelSpec::Unet(_) => "unet",
            ModelSpec::Dit(_) => "dit",
            ModelSpec::Transformer1d(_) => "transformer-1d",
        }
    }

    /// That the model can be built: an error names the setting that is wrong. Nothing is allocated.
    pub fn check(&self) -> Result<()> {
        match self {
            ModelSpec::TimeInputMlp(config) => config.check(),
            ModelSpec::ConditionalMlp(config) => config.check(),
            ModelSpec::Unet(config) => config.check(),
            ModelSpec::Dit(config) => config.check(),
            ModelSpec::Transformer1d(config) => config.check(),
        }
    }

    /// The model with the initial weights of a seed: PyTorch's defaults, drawn as
    /// `torch.manual_seed(seed)` would have them drawn, kept as `kind` on `device`.
    pub fn build(&self, seed: u64, kind: Kind, device: Device) -> Result<Box<dyn Trainable>> {
        Ok(match self {
            ModelSpec::TimeInputMlp(c) => Box::new(TimeInputMlp::new(c, seed, kind, device)?),
            ModelSpec::ConditionalMlp(c) => Box::new(ConditionalMlp::new(c, seed, kind, device)?),
            ModelSpec::Unet(c) => Box::new(Unet::new(c, seed, kind, device)?),
            ModelSpec::Dit(c) => Box::new(Dit::new(c, seed, kind, device)?),
            ModelSpec::Transformer1d(c) => Box::new(Transformer1d::new(c, seed, kind, device)?),
        })
    }

    /// The shape of one sample, without the batch.
    pub fn sample_shape(&self) -> Vec<i64> {
        match self {
            ModelSpec::TimeInputMlp(config) => vec![config.dim],
            ModelSpec::ConditionalMlp(config) => vec![config.dim],
            ModelSpec::Unet(c) => vec![c.channels, c.image_size, c.image_size],
            ModelSpec::Dit(c) => vec![c.channels, c.image_size, c.image_size],
            ModelSpec::Transformer1d(config) => config.sample_shape(),
        }
    }

    /// The number of classes, if it has any; the null class is not counted.
    pub fn num_classes(&self) -> Option<i64> {
        let classes = match self {
            ModelSpec::TimeInputMlp(_) => 0,
            ModelSpec::ConditionalMlp(config) => config.num_classes,
            ModelSpec::Unet(config) => config.num_classes,
            ModelSpec::Dit(config) => config.num_classes,
            ModelSpec::Transformer1d(config) => config.num_classes,
        };
        (classes > 0).then_some(classes)
    }

    /// That the model has this class.
    pub fn check_class(&self, class: i64) -> Result<()> {
        match self.num_classes() {
            None => Err(Error::NoClasses(class)),
            Some(classes) if (0..classes).contains(&class) => Ok(()),
            Some(classes) => Err(Error::Class { class, classes }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_defaults_and_no_unknown_keys() {
        let of = |text: &str| serde_json::from_str::<ModelSpec>(text);
        let default = of(r#"{"type": "conditional-mlp"}"#).unwrap();
        assert_eq!(default, ModelSpec::ConditionalMlp(ConditionalMlpConfig::default()));
        assert_eq!(of(&serde_json::to_string(&default).unwrap()).unwrap(), default);
        let unknown = of(r#"{"type": "time-input-mlp", "hiden_dims": [3]}"#).unwrap_err();
        assert!(unknown.to_string().contains("hiden_dims"), "{unknown}");
        let wrong = of(r#"{"type": "perceptron"}"#).unwrap_err().to_string();
        assert!(ModelSpec::NAMES.iter().all(|name| wrong.contains(name)), "{wrong}");
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let mlp = |config| ModelSpec::TimeInputMlp(config);
        let cases = [
            (mlp(TimeInputMlpConfig { dim: 0, ..Default::default() }), "model.dim is 0"),
            (
                mlp(TimeInputMlpConfig { hidden_dims: vec![], ..Default::default() }),
                "hidden_dims is []",
            ),
            (
                mlp(TimeInputMlpConfig { hidden_dims: vec![8, -1], ..Default::default() }),
                "hidden_dims is -1",
            ),
            (mlp(TimeInputMlpConfig { dim: i64::MAX, ..Default::default() }), "model.dim"),
            (
                ModelSpec::ConditionalMlp(ConditionalMlpConfig {
                    dropout_prob: f64::NAN,
                    ..Default::default()
                }),
                "dropout_prob is NaN",
            ),
        ];
        for (spec, expected) in cases {
            let found = spec.build(0, Kind::Float, Device::Cpu).unwrap_err().to_string();
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn a_class_that_is_not_there_is_named() {
        let spec = ModelSpec::ConditionalMlp(ConditionalMlpConfig::default());
        assert!(spec.check_class(9).is_ok());
        let message = spec.check_class(99).unwrap_err().to_string();
        assert_eq!(message, "class 99: the model has 10 classes, 0 to 9");
        let none = ModelSpec::TimeInputMlp(TimeInputMlpConfig::default()).check_class(0);
        assert_eq!(none.unwrap_err().to_string(), "class 0: the model was trained without classes");
    }
}
