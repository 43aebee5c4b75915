//! CLIP's own vocabulary, for models that come as one file and bring none.

use super::{SpecialTokens, Tokenizer};
use crate::{Error, Result};
use flate2::read::GzDecoder;
use std::io::Read;

/// The merges of CLIP's vocabulary (github.com/openai/CLIP, MIT), in the order of their rank.
const MERGES: &[u8] = include_bytes!("../../data/clip-merges.txt.gz");

/// CLIP's printable stand-ins for the 256 byte values, in its order.
fn byte_symbols() -> impl Iterator<Item = char> {
    let printable = |b: &u32| matches!(b, 33..=126 | 161..=172 | 174..=255);
    let others = (0..256_u32).filter(|b| !matches!(b, 33..=126 | 161..=172 | 174..=255));
    let stand_ins = others.zip(256..).map(|(_, stand_in)| stand_in);
    (0..256).filter(printable).chain(stand_ins).filter_map(char::from_u32)
}

impl Tokenizer {
    /// CLIP's tokenizer of 49,408 tokens, which all published versions of Stable Diffusion use. It
    /// fills prompts with the end token; [`with_pad`](Self::with_pad) makes it SD 2's.
    ///
    /// ```
    /// let tokenizer = tweedie_sd::text::Tokenizer::clip()?;
    /// assert_eq!(tokenizer.ids("a photo of a cat")?, [320, 1125, 539, 320, 2368]);
    /// # Ok::<(), tweedie_sd::Error>(())
    /// ```
    ///
    /// # Errors
    /// If libraries refuse what ships with this one.
    pub fn clip() -> Result<Self> {
        let mut text = String::new();
        let broken = |e: std::io::Error| Error::invalid("CLIP's vocabulary", e, "text");
        GzDecoder::new(MERGES).read_to_string(&mut text).map_err(broken)?;
        let pair = |line: &str| {
            let (a, b) = line.split_once(' ')?;
            Some((a.to_owned(), b.to_owned()))
        };
        let merges: Vec<(String, String)> = text.lines().filter_map(pair).collect();
        let special = SpecialTokens::default();
        let symbols = byte_symbols().map(String::from);
        let ends = byte_symbols().map(|symbol| format!("{symbol}</w>"));
        let joined = merges.iter().map(|(a, b)| format!("{a}{b}"));
        let last = [special.bos.clone(), special.eos.clone()];
        let vocab: Vec<_> = symbols.chain(ends).chain(joined).chain(last).zip(0..).collect();
        Self::from_parts(vocab, merges, special)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids that every user of CLIP knows.
    #[test]
    fn begins_and_ends_as_clip_does() {
        let tokenizer = Tokenizer::clip().unwrap();
        assert_eq!(
            (tokenizer.bos(), tokenizer.eos(), tokenizer.vocab_size()),
            (49406, 49407, 49408)
        );
        assert_eq!(tokenizer.with_pad("!").unwrap().pad(), 0);
    }
}
