//! From prompts to the UNet's condition.

use super::request::{Request, Sizes};
use crate::files::{Files, Part, Pipeline};
use crate::text::{ClipEncoder, EncodedPrompt, PromptOptions, TextualInversion, Tokenizer};
use crate::{ClipText, Error, Result};
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};
use tweedie_core::Cond;

/// The tokenizers and text encoders of a model: one, or SDXL's two.
#[derive(Debug)]
pub(super) struct TextEncoders {
    encoders: Vec<(Tokenizer, ClipText)>,
    pipeline: Pipeline,
}

/// What the UNet is told: of the prompt, and of the negative one.
#[derive(Debug)]
pub struct Conditions {
    /// The prompt, for the whole batch.
    pub cond: Cond,
    /// The negative prompt, or what stands for none.
    pub null: Cond,
}

impl TextEncoders {
    pub(super) fn open(
        files: &Files,
        inversions: &[PathBuf],
        kind: Kind,
        device: Device,
    ) -> Result<Self> {
        let pipeline = files.pipeline();
        let mut encoders = vec![];
        for &part in files.text_parts() {
            let mut tokenizer = files.tokenizer(part)?;
            let (config, store) = files.text_encoder(part)?;
            let mut encoder = ClipText::new(part.folder(), config, store, kind, device)?;
            if tokenizer.vocab_size() > encoder.config().vocab_size {
                let (tokens, known) = (tokenizer.vocab_size(), encoder.config().vocab_size);
                let problem = format!(
                    "its tokenizer has {tokens} tokens, {part} knows {known}: they are not of one model"
                );
                return Err(Error::model(files.path(), problem));
            }
            for path in inversions {
                let which =
                    if part == Part::TextEncoder2 { ClipEncoder::G } else { ClipEncoder::L };
                let learned = TextualInversion::open(path, None)?;
                let rows = learned.add_to(&mut tokenizer, which, encoder.config().hidden_size)?;
                encoder.learn(&rows)?;
            }
            encoders.push((tokenizer, encoder));
        }
        Ok(TextEncoders { encoders, pipeline })
    }

    /// The width of a token of the context that these encoders make.
    pub(super) fn width(&self) -> i64 {
        self.encoders.iter().map(|(_, encoder)| encoder.config().hidden_size).sum()
    }

    /// The conditions of a request for pictures of `[height, width]`, for its whole batch.
    pub(super) fn conditions(&self, request: &Request, size: [i64; 2]) -> Result<Conditions> {
        let _guard = tch::no_grad_guard();
        let negative = request.negative_prompt.as_deref().unwrap_or_default();
        let [prompt, mut other] = self.both(&request.prompt, negative, request)?;
        if request.negative_prompt.is_none() && self.pipeline.zeros_for_no_prompt {
            other = Said {
                context: other.context.f_zeros_like()?,
                pooled: other.pooled.f_zeros_like()?,
            };
        }
        let cond = |said: Said, score| -> Result<Cond> {
            let vector = match self.pipeline.xl {
                true => Some(with_sizes(&said.pooled, &self.numbers(request.sizes, size, score))?),
                false => None,
            };
            let all = |t: Tensor| -> Result<Tensor> {
                let mut times = vec![1; t.dim()];
                times[0] = request.count as i64;
                Ok(t.f_repeat(times)?)
            };
            let vector = vector.map(all).transpose()?;
            Ok(Cond { context: Some(all(said.context)?), vector, ..Cond::default() })
        };
        Ok(Conditions { cond: cond(prompt, 6.0)?, null: cond(other, 2.5)? })
    }

    /// SDXL's numbers: the original size, the crop, and the target size or an aesthetic score.
    fn numbers(&self, sizes: Sizes, [height, width]: [i64; 2], score: f64) -> Vec<f64> {
        let original = sizes.original.unwrap_or((height, width));
        let target = sizes.target.unwrap_or((height, width));
        let mut numbers =
            vec![original.0 as f64, original.1 as f64, sizes.crop.0 as f64, sizes.crop.1 as f64];
        match self.pipeline.aesthetics_score {
            true => numbers.push(score),
            false => numbers.extend([target.0 as f64, target.1 as f64]),
        }
        numbers
    }

    /// Both prompts, in as many chunks as the longer one has.
    fn both(&self, prompt: &str, negative: &str, request: &Request) -> Result<[Said; 2]> {
        let options = PromptOptions { weighting: request.weighting, long: request.long_prompts };
        let skips = [request.clip_skip, request.negative_clip_skip.unwrap_or(request.clip_skip)];
        let (mut contexts, mut pooled) = ([vec![], vec![]], [None, None]);
        for (k, (tokenizer, encoder)) in self.encoders.iter().enumerate() {
            let part = self.pipeline.text_parts()[k];
            let mut prompts =
                [tokenizer.encode(prompt, options)?, tokenizer.encode(negative, options)?];
            let chunks = prompts[0].chunks().max(prompts[1].chunks());
            for (which, prompt) in prompts.iter_mut().enumerate() {
                // SDXL's two encoders cut the same.
                if let Some(cut) = prompt.cut.as_ref().filter(|_| k == 0) {
                    let which = ["prompt", "negative prompt"][which];
                    tracing::warn!(
                        "the {which} is too long: {cut:?} was cut off (long_prompts reads it too)"
                    );
                }
                prompt.pad_to(chunks);
                let said = self.say(part, encoder, prompt, skips[which])?;
                contexts[which].push(said.context);
                pooled[which] = Some(said.pooled);
            }
        }
        let [first, second] = contexts;
        let [pooled_first, pooled_second] = pooled;
        let said = |contexts: Vec<Tensor>, pooled: Option<Tensor>| -> Result<Said> {
            let pooled = pooled.ok_or_else(|| {
                Error::invalid("the model", "without text encoders", "one or two")
            })?;
            Ok(Said { context: Tensor::f_cat(&contexts, 2)?, pooled })
        };
        Ok([said(first, pooled_first)?, said(second, pooled_second)?])
    }

    /// What an encoder says of a prompt, its chunks one behind the other.
    fn say(
        &self,
        part: Part,
        encoder: &ClipText,
        prompt: &EncodedPrompt,
        clip_skip: usize,
    ) -> Result<Said> {
        let device = encoder.parameters().device();
        let encoded = encoder.forward(&prompt.tensor(device)?)?;
        // SDXL was trained on the state before the last, without the final norm.
        let index = clip_skip.saturating_add(usize::from(self.pipeline.xl));
        let state = encoded.states.get(index).ok_or_else(|| {
            let most = encoded.states.len() - 1 - usize::from(self.pipeline.xl);
            Error::invalid("clip_skip", clip_skip, format!("at most {most}"))
        })?;
        let state =
            if self.pipeline.xl { state.shallow_clone() } else { encoder.final_norm(state) };
        let width = encoder.config().hidden_size;
        super::finite(&state, "the encoded prompt", part.folder())?;
        let context = prompt.apply_weights(&state.f_reshape([1, -1, width])?)?;
        Ok(Said {
            context: context.f_to_kind(Kind::Float)?,
            pooled: encoded.pooled.f_narrow(0, 0, 1)?.f_to_kind(Kind::Float)?,
        })
    }
}

/// What the encoders say of one prompt: `[1, length, width]` and `[1, pooled]`.
struct Said {
    context: Tensor,
    pooled: Tensor,
}

/// The pooled prompt and the numbers behind it, `[1, pooled + n]`.
fn with_sizes(pooled: &Tensor, numbers: &[f64]) -> Result<Tensor> {
    let numbers = tweedie_torch::tensor::from_f64(numbers, &[1, numbers.len() as i64])?;
    let numbers = numbers.f_to_device(pooled.device())?.f_to_kind(pooled.kind())?;
    Ok(Tensor::f_cat(&[pooled, &numbers], 1)?)
}
