//! Textual inversion (Gal et al. 2022): words whose vectors were learned.

use super::Tokenizer;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};
use tweedie_torch::tensor::all_finite;
use tweedie_torch::weights::{self, Header, KindPolicy, StateDict, TensorInfo};

/// Which text encoder vectors are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipEncoder {
    /// The only encoder of Stable Diffusion 1 and 2, and SDXL's `text_encoder`.
    L,
    /// SDXL's `text_encoder_2`.
    G,
}

/// A word that was learned, with one or several vectors for each text encoder.
///
/// ```
/// use tch::{Kind, Tensor, Device};
/// # use tweedie_sd::text::{SpecialTokens, Tokenizer};
/// use tweedie_sd::text::{ClipEncoder, TextualInversion};
///
/// # let folder = tempfile::tempdir()?;
/// # let tokens = ["h", "i", "h</w>", "i</w>", "hi</w>", "<|startoftext|>", "<|endoftext|>"];
/// # let vocab = tokens.iter().zip(0..).map(|(token, id)| ((*token).to_owned(), id));
/// # let merges = vec![("h".to_owned(), "i</w>".to_owned())];
/// # let mut tokenizer = Tokenizer::from_parts(vocab, merges, SpecialTokens::default())?;
/// # let path = folder.path().join("learned_embeds.safetensors");
/// # let vectors = Tensor::ones([2, 32], (Kind::Float, Device::Cpu));
/// # tweedie_torch::weights::save(&path, [("<cat>", &vectors)], &Default::default(), None)?;
/// let table = Tensor::zeros([7, 32], (Kind::Float, Device::Cpu));
///
/// let cat = TextualInversion::open(&path, None)?;
/// let added = cat.add_to(&mut tokenizer, ClipEncoder::L, 32)?;
/// assert_eq!(tokenizer.ids("hi <cat> hi")?, [4, 7, 8, 4]);
/// assert_eq!(added.extend(&table)?.size(), [9, 32]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TextualInversion {
    token: String,
    path: PathBuf,
    vectors: Vectors,
}

/// The vectors of a file, each `[n, width]`.
#[derive(Debug)]
enum Vectors {
    /// For the one encoder that they fit.
    One(Tensor),
    /// For SDXL.
    Two { l: Tensor, g: Tensor },
}

/// A word that a tokenizer has got, and the rows that its encoder needs for it.
#[derive(Debug)]
pub struct LearnedRows {
    /// The id of the first vector; the others follow it.
    pub first_id: i64,
    /// The vectors, `[n, width]`, as the file has them.
    pub rows: Tensor,
}

impl TextualInversion {
    /// Reads a safetensors file of diffusers (`{"<token>": [n, width]}`), of the AUTOMATIC1111 web
    /// UI (`emb_params`), or for SDXL (`clip_l` and `clip_g`).
    ///
    /// `token` is the word to type for it. Without it a diffusers file says it, and the others are
    /// called as the file is, without its ending.
    ///
    /// # Errors
    /// If the file cannot be read, is of another kind, or holds no finite vectors.
    pub fn open(path: &Path, token: Option<&str>) -> Result<Self> {
        let names = names(&weights::header(path)?).map_err(|p| Error::model(path, p))?;
        let mut dict = weights::load(path, KindPolicy::Keep, Device::Cpu)?;
        let mut take = |name: &str| take(&mut dict, name).map_err(|p| Error::model(path, p));
        let (own, vectors) = match names {
            Names::Diffusers(own) => (Some(own.clone()), Vectors::One(take(&own)?)),
            Names::WebUi(name) => (None, Vectors::One(take(name)?)),
            Names::Sdxl => (None, Vectors::Two { l: take(CLIP_L)?, g: take(CLIP_G)? }),
        };
        if let Vectors::Two { l, g } = &vectors
            && l.size()[0] != g.size()[0]
        {
            let problem = format!("clip_l is {:?} and clip_g {:?}", l.size(), g.size());
            return Err(Error::model(path, problem + ", expected as many vectors in both"));
        }
        let stem = || path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let token = token.map(str::to_owned).or(own).or_else(stem).unwrap_or_default();
        if token.trim().is_empty() {
            return Err(Error::invalid(
                "the token of an embedding",
                format!("{token:?}"),
                "a word",
            ));
        }
        Ok(Self { token, path: path.to_path_buf(), vectors })
    }

    /// The word to type.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The vectors for one encoder, `[n, width]`.
    ///
    /// # Errors
    /// If they have another width than `width`, the encoder's `hidden_size`.
    pub fn vectors(&self, encoder: ClipEncoder, width: i64) -> Result<&Tensor> {
        let vectors = match (&self.vectors, encoder) {
            (Vectors::One(vectors), _) => vectors,
            (Vectors::Two { l, .. }, ClipEncoder::L) => l,
            (Vectors::Two { g, .. }, ClipEncoder::G) => g,
        };
        match vectors.size()[..] {
            [_, found] if found == width => Ok(vectors),
            ref found => Err(Error::model(
                &self.path,
                format!(
                    "its vectors are {:?} numbers long, the text encoder's {width}: it is for \
                     another model",
                    found.last().copied().unwrap_or_default()
                ),
            )),
        }
    }

    /// Teaches a tokenizer the word: typed in a prompt, it is the tokens `<token>`, `<token>_1` …
    /// for all of its vectors, as with diffusers. Like every word it is found in any case.
    ///
    /// # Errors
    /// If the tokenizer has such a token already, or as [`vectors`](Self::vectors). Nothing is
    /// changed then.
    pub fn add_to(
        &self,
        tokenizer: &mut Tokenizer,
        encoder: ClipEncoder,
        width: i64,
    ) -> Result<LearnedRows> {
        let rows = self.vectors(encoder, width)?.shallow_clone();
        let later = (1..rows.size()[0]).map(|i| format!("{}_{i}", self.token));
        let tokens: Vec<_> = std::iter::once(self.token.clone()).chain(later).collect();
        Ok(LearnedRows { first_id: tokenizer.add(&tokens)?, rows })
    }
}

impl LearnedRows {
    /// An encoder's embedding table `[tokens, width]` with these rows at their ids, in the table's
    /// kind and on its device. A table with less rows than ids before grows, one with more keeps
    /// its length.
    ///
    /// # Errors
    /// If the table has another shape.
    pub fn extend(&self, table: &Tensor) -> Result<Tensor> {
        let (size, [n, width]) = (table.size(), [self.rows.size()[0], self.rows.size()[1]]);
        let [found, _] = size[..] else { return Err(self.misshapen(&size)) };
        if size[1] != width {
            return Err(self.misshapen(&size));
        }
        let end = self.first_id + n;
        let extended = table.f_new_zeros([found.max(end), width], (table.kind(), table.device()));
        let extended = extended.map_err(tweedie_torch::Error::from)?;
        let _guard = tch::no_grad_guard();
        extended.narrow(0, 0, found).copy_(table);
        extended.narrow(0, self.first_id, n).copy_(&self.rows);
        Ok(extended)
    }

    fn misshapen(&self, found: &[i64]) -> Error {
        Error::shape("embedding table", format!("[tokens, {}]", self.rows.size()[1]), found)
    }
}

const EMB_PARAMS: &str = "emb_params";
const CLIP_L: &str = "clip_l";
const CLIP_G: &str = "clip_g";

/// Whose layout a file has.
enum Names {
    Diffusers(String),
    WebUi(&'static str),
    Sdxl,
}

fn names(header: &Header) -> Result<Names, String> {
    let has = |name: &str| header.tensors.iter().any(|t| t.name == name);
    let plain = [EMB_PARAMS, CLIP_L, CLIP_G].into_iter().find(|name| has(name));
    match (plain, &header.tensors[..]) {
        _ if has(CLIP_L) && has(CLIP_G) => Ok(Names::Sdxl),
        (Some(name), _) => Ok(Names::WebUi(name)),
        (None, [TensorInfo { name, .. }]) => Ok(Names::Diffusers(name.clone())),
        (None, tensors) => Err(format!(
            "it has {} tensors, none named emb_params, clip_l or clip_g: it is no embedding of \
             textual inversion",
            tensors.len()
        )),
    }
}

/// The vectors of a name as `[n, width]`.
fn take(dict: &mut StateDict, name: &str) -> Result<Tensor, String> {
    let vectors = dict.remove(name).ok_or_else(|| format!("it has no tensor {name}"))?;
    if !vectors.is_floating_point() {
        return Err(format!("{name} has kind {:?}, expected floating point", vectors.kind()));
    }
    match vectors.size()[..] {
        [width] if width > 0 => Ok(vectors.reshape([1, width])),
        [n, width] if n > 0 && width > 0 => Ok(vectors),
        ref found => Err(format!("{name} has shape {found:?}, expected [n, width]")),
    }
    .and_then(|vectors| match all_finite(&vectors.to_kind(Kind::Float)) {
        Ok(true) => Ok(vectors),
        _ => Err(format!("{name} has values that are no finite numbers")),
    })
}
