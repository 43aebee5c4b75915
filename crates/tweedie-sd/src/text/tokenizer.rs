//! CLIP's byte-pair encoding (Radford et al. 2021), with transformers' ids.

use super::roles::{Roles, SpecialTokens};
use super::vocabulary::{END_OF_WORD, Vocabulary};
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

/// What is a word: special tokens, English endings, letters, single digits, runs of the rest.
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Text to token ids and back, with exactly the ids of transformers 5's `CLIPTokenizer`.
///
/// Text is composed (NFC), runs of white space become one space, and it is lower-cased. Nothing
/// else is cleaned: control characters, NUL, zero-width joiners and unpaired marks are bytes like
/// any other. Transformers 4 without `fast` tokenizers dropped control characters and repaired
/// mojibake where `ftfy` was installed; there, such prompts had other ids.
///
/// ```
/// use tweedie_sd::text::{SpecialTokens, Tokenizer};
///
/// let tokens = ["h", "i", "h</w>", "i</w>", "hi</w>", "<|startoftext|>", "<|endoftext|>"];
/// let vocab = tokens.iter().zip(0..).map(|(token, id)| ((*token).to_owned(), id));
/// let merges = vec![("h".to_owned(), "i</w>".to_owned())];
/// let tokenizer = Tokenizer::from_parts(vocab, merges, SpecialTokens::default())?;
///
/// assert_eq!(tokenizer.ids("Hi  hih")?, [4, 0, 1, 2]);
/// assert_eq!(tokenizer.decode(&[4, 0, 1, 2])?, "hi hih");
/// # Ok::<(), tweedie_sd::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    frame: Frame,
    /// Learned words of several vectors: the ids of all of them, by the first.
    vectors: HashMap<i64, Vec<i64>>,
}

/// What stands around the words of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) bos: i64,
    pub(super) eos: i64,
    pub(super) pad: i64,
    /// Of words, `bos` and `eos` together.
    pub(super) length: usize,
}

impl Tokenizer {
    /// Reads a model's `tokenizer` folder: `tokenizer.json`, or `vocab.json` and `merges.txt`;
    /// with `tokenizer_config.json` and `special_tokens_map.json` where they are.
    ///
    /// # Errors
    /// If a file is missing, cut off, or does not belong to the others: it is named.
    pub fn open(folder: &Path) -> Result<Self> {
        let vocabulary = Vocabulary::open(folder)?;
        let roles = Roles::open(folder, &vocabulary)?;
        Self::new(vocabulary, roles).map_err(|problem| Error::model(folder, problem))
    }

    /// Puts one together from tokens with their ids, merges in the order of their rank, and the
    /// special tokens. A prompt has 77 tokens.
    ///
    /// # Errors
    /// If two tokens share an id, or merges and tokens do not belong together.
    pub fn from_parts(
        vocab: impl IntoIterator<Item = (String, u32)>,
        merges: Vec<(String, String)>,
        special: SpecialTokens,
    ) -> Result<Self> {
        let ids = vocab.into_iter().collect();
        let vocabulary = Vocabulary { ids, merges, added: Vec::new() };
        let whole = vocabulary.check().and_then(|()| Self::new(vocabulary, special.into()));
        whole.map_err(|problem| Error::invalid("the vocabulary", problem, "a whole one"))
    }

    fn new(vocabulary: Vocabulary, roles: Roles) -> Result<Self, String> {
        let mut inner = pipeline(vocabulary, &roles).map_err(|e| e.to_string())?;
        inner.add_tokens(&roles.added);
        let id = |token: &str| {
            let id = inner.token_to_id(token).map(i64::from);
            id.ok_or_else(|| format!("it has no token {token:?}"))
        };
        let SpecialTokens { bos, eos, pad, .. } = &roles.special;
        let frame = Frame { bos: id(bos)?, eos: id(eos)?, pad: id(pad)?, length: roles.max_length };
        Ok(Self { inner, frame, vectors: HashMap::new() })
    }

    /// The same tokenizer, which fills prompts with `token`.
    ///
    /// SDXL's two tokenizers differ in this alone: the second fills with `!`. As in transformers
    /// the token becomes special, so that each `!` in a prompt is a token of its own.
    ///
    /// # Errors
    /// If `token` is not in the vocabulary.
    pub fn with_pad(mut self, token: &str) -> Result<Self> {
        let missing = || Error::invalid("the pad token", token, "a token of the vocabulary");
        self.frame.pad = self.id(token).ok_or_else(missing)?;
        self.inner.add_tokens(&[AddedToken::from(token, true)]);
        Ok(self)
    }

    /// The ids of all words of a text, however many, without anything around them.
    /// A learned word gives the ids of all of its vectors.
    ///
    /// # Errors
    /// If the vocabulary has no token for a symbol, nor one for the unknown.
    pub fn ids(&self, text: &str) -> Result<Vec<i64>> {
        Ok(self.words(text)?.concat())
    }

    /// The ids of a text; those that belong together are one group.
    pub(super) fn words(&self, text: &str) -> Result<Vec<Vec<i64>>> {
        let encoded = self.inner.encode_fast(text, false);
        let encoded =
            encoded.map_err(|e| Error::invalid("the prompt", format!("{text:?} ({e})"), "text"))?;
        let ids = encoded.get_ids().iter().map(|&id| i64::from(id));
        Ok(ids.map(|id| self.vectors.get(&id).cloned().unwrap_or_else(|| vec![id])).collect())
    }

    /// The text of token ids, for messages: lower-case, with single spaces, as transformers'
    /// `decode` gives it. Unknown ids are left out.
    ///
    /// # Errors
    /// If the tokens cannot be put together.
    pub fn decode(&self, ids: &[i64]) -> Result<String> {
        let ids: Vec<u32> = ids.iter().filter_map(|&id| u32::try_from(id).ok()).collect();
        let text = self.inner.decode(&ids, false);
        let text = text.map_err(|e| Error::invalid("the list of tokens", e, "known ids"))?;
        Ok(text.replace(END_OF_WORD, " ").trim_matches(is_space_in_python).to_owned())
    }

    /// The id of a token as the vocabulary writes it, such as `cat</w>`.
    pub fn id(&self, token: &str) -> Option<i64> {
        self.inner.token_to_id(token).map(i64::from)
    }

    /// The token that begins a prompt.
    pub fn bos(&self) -> i64 {
        self.frame.bos
    }

    /// The token that ends a prompt. A text encoder's pooled output is taken where it is first.
    pub fn eos(&self) -> i64 {
        self.frame.eos
    }

    /// The token that fills a prompt.
    pub fn pad(&self) -> i64 {
        self.frame.pad
    }

    /// The length of a prompt in tokens, `bos` and `eos` included: 77.
    pub fn max_length(&self) -> usize {
        self.frame.length
    }

    /// One more than the highest id: an embedding table must have as many rows.
    pub fn vocab_size(&self) -> i64 {
        let highest = self.inner.get_vocab(true).into_values().max();
        highest.map_or(0, |id| i64::from(id) + 1)
    }

    pub(super) fn frame(&self) -> Frame {
        self.frame
    }

    /// Adds words with the next free ids: the first stands for all of them together.
    pub(super) fn add(&mut self, tokens: &[String]) -> Result<i64> {
        if let Some(known) = tokens.iter().find(|token| self.id(token).is_some()) {
            let expected = "a word that the tokenizer does not have yet";
            return Err(Error::invalid("the token of an embedding", known, expected));
        }
        let first = self.vocab_size();
        if usize::try_from(first).ok() != Some(self.inner.get_vocab_size(true)) {
            let found = format!("one with gaps below id {first}");
            return Err(Error::invalid("the vocabulary", found, "ids without gaps, to add words"));
        }
        let added: Vec<_> = tokens.iter().map(|token| AddedToken::from(token, false)).collect();
        self.inner.add_tokens(&added);
        self.vectors.insert(first, (first..).take(tokens.len()).collect());
        Ok(first)
    }
}

fn is_space_in_python(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// The steps of `CLIPTokenizer`, in its order.
fn pipeline(vocabulary: Vocabulary, roles: &Roles) -> tokenizers::Result<tokenizers::Tokenizer> {
    let model = BPE::builder()
        .vocab_and_merges(vocabulary.ids, vocabulary.merges)
        .unk_token(roles.special.unk.clone())
        .end_of_word_suffix(END_OF_WORD.to_owned())
        .build()?;
    let white_space = Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ")?;
    let words = SplitPattern::Regex(WORDS.to_owned());
    let words = Split::new(words, SplitDelimiterBehavior::Removed, true)?;
    let bytes = ByteLevel::default().add_prefix_space(false);
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(Normalizers::new(vec![
            NFC.into(),
            white_space.into(),
            Lowercase.into(),
        ])))
        .with_pre_tokenizer(Some(PreTokenizers::new(vec![words.into(), bytes.into()])))
        .with_decoder(Some(ByteLevel::default()));
    Ok(tokenizer)
}
