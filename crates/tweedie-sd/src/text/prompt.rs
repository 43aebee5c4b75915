//! From a prompt to the tokens of a text encoder, in chunks of its length, with weights.

use super::tokenizer::Frame;
use super::{Tokenizer, weighting};
use crate::{Error, Result};
use tch::{Device, Kind, Tensor};
use tweedie_torch::tensor;

/// How a prompt is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PromptOptions {
    /// Brackets are weights, see [`weighting`]. Without it they are text, as in diffusers.
    pub weighting: bool,
    /// A prompt of more than 75 words goes on in further chunks, as in the AUTOMATIC1111 web UI,
    /// and the word `BREAK` begins a chunk. Without it the rest is cut off, as in diffusers.
    pub long: bool,
}

/// The tokens of a prompt: one or more chunks, each `bos`, words, `eos` and padding.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedPrompt {
    /// The token ids of all chunks, one after another.
    pub ids: Vec<i64>,
    /// The weight of each token.
    pub weights: Vec<f64>,
    /// The text that had no room, of a prompt that is not `long`.
    pub cut: Option<String>,
    frame: Frame,
}

/// A token and its weight.
type Token = (i64, f64);

impl Tokenizer {
    /// The tokens of a prompt.
    ///
    /// ```
    /// # use tweedie_sd::text::{SpecialTokens, Tokenizer};
    /// use tweedie_sd::text::PromptOptions;
    ///
    /// # let tokens = ["h", "i", "h</w>", "i</w>", "hi</w>", "<|startoftext|>", "<|endoftext|>"];
    /// # let vocab = tokens.iter().zip(0..).map(|(token, id)| ((*token).to_owned(), id));
    /// # let merges = vec![("h".to_owned(), "i</w>".to_owned())];
    /// # let tokenizer = Tokenizer::from_parts(vocab, merges, SpecialTokens::default())?;
    /// let options = PromptOptions { weighting: true, long: true };
    /// let prompt = tokenizer.encode("hi (hi:1.3) BREAK hi", options)?;
    /// assert_eq!(prompt.chunks(), 2);
    /// assert_eq!(prompt.ids[..4], [5, 4, 4, 6]);
    /// assert_eq!(prompt.weights[..4], [1.0, 1.0, 1.3, 1.0]);
    /// assert_eq!(prompt.tensor(tch::Device::Cpu)?.size(), [2, 77]);
    /// # Ok::<(), tweedie_sd::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a weight is not finite, or as [`Tokenizer::ids`].
    pub fn encode(&self, prompt: &str, options: PromptOptions) -> Result<EncodedPrompt> {
        let parts = match options.weighting {
            true => weighting::parse(prompt),
            false => vec![(prompt.to_owned(), 1.0)],
        };
        if let Some((text, weight)) = parts.iter().find(|(_, weight)| !weight.is_finite()) {
            let found = format!("{weight} for {text:?}");
            return Err(Error::invalid("a weight of the prompt", found, "a finite number"));
        }
        match options.long {
            true => self.encode_long(&parts),
            false => self.encode_one(&parts),
        }
    }

    /// One chunk, with what has no room cut off.
    fn encode_one(&self, parts: &[(String, f64)]) -> Result<EncodedPrompt> {
        let mut tokens: Vec<Token> = Vec::new();
        for (text, weight) in parts {
            tokens.extend(self.ids(text)?.into_iter().map(|id| (id, *weight)));
        }
        let cut = tokens.split_off(tokens.len().min(self.frame().room()));
        let cut: Vec<i64> = cut.into_iter().map(|(id, _)| id).collect();
        let cut = if cut.is_empty() { None } else { Some(self.decode(&cut)?) };
        Ok(EncodedPrompt::of_chunks(&[tokens], cut, self.frame()))
    }

    /// As many chunks as are needed.
    fn encode_long(&self, parts: &[(String, f64)]) -> Result<EncodedPrompt> {
        let mut chunker = Chunker::new(self.frame().room(), self.id(",</w>"));
        for (text, weight) in parts {
            for (i, text) in split_at_break(text).into_iter().enumerate() {
                if i > 0 {
                    chunker.close();
                }
                for word in self.words(text)? {
                    let tokens: Vec<Token> = word.into_iter().map(|id| (id, *weight)).collect();
                    chunker.push(&tokens);
                }
            }
        }
        Ok(EncodedPrompt::of_chunks(&chunker.finish(), None, self.frame()))
    }
}

impl EncodedPrompt {
    fn of_chunks(chunks: &[Vec<Token>], cut: Option<String>, frame: Frame) -> Self {
        let (ids, weights) = chunks.iter().flat_map(|words| frame.around(words)).unzip();
        Self { ids, weights, cut, frame }
    }

    /// The number of chunks.
    pub fn chunks(&self) -> usize {
        self.ids.len() / self.frame.length
    }

    /// The token ids as `[chunks, 77]` of 64-bit integers.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn tensor(&self, device: Device) -> Result<Tensor> {
        let shape = [self.chunks() as i64, self.frame.length as i64];
        let ids = tensor::from_i64(&self.ids, &shape)?.f_to_device(device);
        Ok(ids.map_err(tweedie_torch::Error::from)?)
    }

    /// Whether any weight is not 1.
    pub fn is_weighted(&self) -> bool {
        self.weights.iter().any(|&weight| weight != 1.0)
    }

    /// Appends empty chunks until there are `chunks`: guidance needs as many for the prompt as for
    /// the negative prompt.
    pub fn pad_to(&mut self, chunks: usize) {
        while self.chunks() < chunks {
            let (ids, weights): (Vec<_>, Vec<_>) = self.frame.around(&[]).unzip();
            self.ids.extend(ids);
            self.weights.extend(weights);
        }
    }

    /// Applies the weights to the encoder's hidden states `[1, chunks · 77, dim]`, by the web UI's
    /// rule ("original" emphasis): each token's state is multiplied by its weight, then all states
    /// of a chunk by one factor which restores their mean. With no weights nothing changes.
    ///
    /// ```text
    /// z'ᵢ = wᵢ zᵢ · mean(z) / mean(w z)
    /// ```
    ///
    /// The result has the shape, kind and device of `hidden`; it is computed in f32 at least.
    ///
    /// # Errors
    /// If the shape is another, or the weights leave nothing whose mean could be restored.
    pub fn apply_weights(&self, hidden: &Tensor) -> Result<Tensor> {
        let size = hidden.size();
        let tokens = self.ids.len() as i64;
        let [1, found, dim] = size[..] else { return Err(self.misshapen(&size)) };
        if found != tokens || dim == 0 {
            return Err(self.misshapen(&size));
        }
        if !self.is_weighted() {
            return Ok(hidden.shallow_clone());
        }
        let kind = if hidden.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        let (chunks, length) = (self.chunks() as i64, self.frame.length as i64);
        let weights = tensor::from_f64(&self.weights, &[chunks, length, 1])?;
        let weights = weights.to_kind(kind).to_device(hidden.device());
        let z = hidden.to_kind(kind).reshape([chunks, length, dim]);
        let mean = |z: &Tensor| z.mean_dim([1_i64, 2].as_slice(), true, kind);
        let weighted = &z * weights;
        let restored = &weighted * (mean(&z) / mean(&weighted));
        if !tensor::all_finite(&restored)? && tensor::all_finite(&z)? {
            let expected = "weights that leave some of each chunk";
            return Err(Error::invalid("a mean of weighted states", "zero", expected));
        }
        Ok(restored.reshape([1, tokens, dim]).to_kind(hidden.kind()))
    }

    fn misshapen(&self, found: &[i64]) -> Error {
        Error::shape("hidden states", format!("[1, {}, dim]", self.ids.len()), found)
    }
}

impl Frame {
    /// The words that a chunk has room for.
    fn room(&self) -> usize {
        self.length - 2
    }

    /// A whole chunk.
    fn around(self, words: &[Token]) -> impl Iterator<Item = Token> {
        let plain = |id| (id, 1.0);
        let filled = std::iter::once(plain(self.bos))
            .chain(words.iter().copied())
            .chain([plain(self.eos)])
            .chain(std::iter::repeat(plain(self.pad)));
        filled.take(self.length)
    }
}

/// Fills chunks. A full chunk ends behind its last comma if that is near, so that what stands
/// between two commas stays together; and a learned word is not torn.
struct Chunker {
    chunks: Vec<Vec<Token>>,
    current: Vec<Token>,
    /// How many words of the current chunk end with its last comma.
    comma: Option<usize>,
    comma_id: Option<i64>,
    room: usize,
}

impl Chunker {
    /// The web UI's default for how many words may move to the next chunk.
    const BACKTRACK: usize = 20;

    fn new(room: usize, comma_id: Option<i64>) -> Self {
        Self { chunks: Vec::new(), current: Vec::new(), comma: None, comma_id, room }
    }

    /// Adds the tokens of one word.
    fn push(&mut self, word: &[Token]) {
        let is_comma = word.iter().any(|(id, _)| Some(*id) == self.comma_id);
        for tokens in word.chunks(self.room) {
            if self.current.len() == self.room && !is_comma {
                self.close_at_comma();
            }
            if self.current.len() + tokens.len() > self.room {
                self.close();
            }
            self.current.extend(tokens);
        }
        if is_comma {
            self.comma = Some(self.current.len());
        }
    }

    fn close(&mut self) {
        self.chunks.push(std::mem::take(&mut self.current));
        self.comma = None;
    }

    /// Moves what follows the last comma to the next chunk, if that is little.
    fn close_at_comma(&mut self) {
        let near = |end: &usize| self.current.len() - end < Self::BACKTRACK;
        if let Some(end) = self.comma.filter(near) {
            let rest = self.current.split_off(end);
            self.close();
            self.current = rest;
        }
    }

    fn finish(mut self) -> Vec<Vec<Token>> {
        if !self.current.is_empty() || self.chunks.is_empty() {
            self.close();
        }
        self.chunks
    }
}

/// The texts between the words `BREAK`.
fn split_at_break(text: &str) -> Vec<&str> {
    const BREAK: &str = "BREAK";
    let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let (mut texts, mut start) = (Vec::new(), 0);
    for (at, word) in text.match_indices(BREAK) {
        let end = at + word.len();
        if !joins(text[..at].chars().next_back()) && !joins(text[end..].chars().next()) {
            texts.push(&text[start..at]);
            start = end;
        }
    }
    texts.push(&text[start..]);
    texts
}
