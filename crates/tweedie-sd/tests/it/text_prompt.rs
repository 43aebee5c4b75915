//! Chunks and weights of prompts.

use super::text_tokenizer::tokenizer;
use proptest::prelude::*;
use std::sync::LazyLock;
use tch::{Device, Kind, Tensor};
use tweedie_sd::text::{EncodedPrompt, PromptOptions, Tokenizer};
use tweedie_torch::tensor::{from_f64, to_f64, to_i64};

const LONG: PromptOptions = PromptOptions { weighting: false, long: true };
const WEIGHTED: PromptOptions = PromptOptions { weighting: true, long: false };
const BOTH: PromptOptions = PromptOptions { weighting: true, long: true };

static SMALL: LazyLock<Tokenizer> = LazyLock::new(|| tokenizer("strings"));

/// The words of each chunk, and that `bos`, `eos` and padding are around them.
fn words(tokenizer: &Tokenizer, prompt: &EncodedPrompt) -> Vec<Vec<i64>> {
    assert_eq!(prompt.ids.len(), prompt.chunks() * 77);
    assert_eq!(prompt.ids.len(), prompt.weights.len());
    let one = |chunk: &[i64]| {
        assert_eq!(chunk[0], tokenizer.bos());
        let end = chunk.iter().position(|&id| id == tokenizer.eos()).unwrap();
        assert!(chunk[end + 1..].iter().all(|&id| id == tokenizer.pad()), "{chunk:?}");
        chunk[1..end].to_vec()
    };
    prompt.ids.chunks(77).map(one).collect()
}

fn lengths(prompt: &str) -> Vec<usize> {
    let encoded = SMALL.encode(prompt, LONG).unwrap();
    words(&SMALL, &encoded).iter().map(Vec::len).collect()
}

#[test]
fn a_long_prompt_goes_on_in_chunks() {
    assert_eq!(lengths(""), [0]);
    assert_eq!(lengths(&"a ".repeat(75)), [75]);
    assert_eq!(lengths(&"a ".repeat(76)), [75, 1]);
    assert_eq!(lengths(&"a ".repeat(230)), [75, 75, 75, 5]);
}

#[test]
fn a_chunk_ends_behind_a_near_comma() {
    let phrases = |before: usize, after: usize| "a ".repeat(before) + "," + &" a".repeat(after);
    // The comma is the 56th word of 75: nineteen follow it, and move.
    assert_eq!(lengths(&phrases(55, 30)), [56, 30]);
    assert_eq!(lengths(&phrases(54, 30)), [75, 10], "too far");
    assert_eq!(lengths(&phrases(55, 19)), [75], "nothing moves while there is room");
    assert_eq!(lengths(&phrases(75, 3)), [75, 4], "a comma itself never waits");
    assert_eq!(lengths(&(phrases(55, 30) + "," + &" a".repeat(60))), [56, 75, 16]);
}

#[test]
fn break_begins_a_chunk_where_prompts_are_long() {
    assert_eq!(lengths("a BREAK a a"), [1, 2]);
    assert_eq!(lengths("a,BREAK\na"), [2, 1]);
    assert_eq!(lengths("BREAK a"), [0, 1]);
    assert_eq!(lengths("a BREAK"), [1]);
    assert_eq!(lengths("a BREAK BREAK a"), [1, 0, 1]);
    for one in ["a BREAKS", "a _BREAK", "a break", "éBREAK"] {
        assert_eq!(lengths(one).len(), 1, "{one}");
    }
    let plain = SMALL.encode("a BREAK a", PromptOptions::default()).unwrap();
    assert_eq!(plain, SMALL.encode("a break a", PromptOptions::default()).unwrap());
    let within = SMALL.encode("(a BREAK a:1.5)", BOTH).unwrap();
    assert_eq!(words(&SMALL, &within).len(), 2);
    assert_eq!([within.weights[1], within.weights[78]], [1.5, 1.5]);
}

#[test]
fn weights_belong_to_their_words() {
    let prompt = SMALL.encode("a (red car:1.5) [here]", WEIGHTED).unwrap();
    let plain = SMALL.encode("a red car here", PromptOptions::default()).unwrap();
    assert_eq!(prompt.ids, plain.ids);
    let [a, red, car, here] = ["a", "red", "car", "here"].map(|w| SMALL.ids(w).unwrap().len());
    let expected = [(1, 1.0), (a, 1.0), (red + car, 1.5), (here, 1.0 / 1.1)];
    let expected = expected.iter().flat_map(|&(n, w)| std::iter::repeat_n(w, n));
    let expected: Vec<f64> = expected.chain(std::iter::repeat(1.0)).take(77).collect();
    assert_eq!(prompt.weights, expected);
    assert!(prompt.is_weighted() && !plain.is_weighted());
    let literal = SMALL.encode("(red)", PromptOptions::default()).unwrap();
    assert!(!literal.is_weighted() && literal != SMALL.encode("red", WEIGHTED).unwrap());
}

#[test]
fn what_is_cut_is_said() {
    let prompt = "(a:2) ".repeat(75) + "red, BREAK car";
    assert_eq!(SMALL.encode(&prompt, WEIGHTED).unwrap().cut.as_deref(), Some("red , break car"));
    assert_eq!(SMALL.encode(&prompt, BOTH).unwrap().cut, None);
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    let error = SMALL.encode(&("(".repeat(8000) + "a"), WEIGHTED).unwrap_err().to_string();
    assert_eq!(error, "a weight of the prompt is inf for \"a\", expected a finite number");
}

#[test]
fn prompts_get_the_same_number_of_chunks() {
    let empty = SMALL.encode("", LONG).unwrap();
    let mut short = SMALL.encode("a (red:2) car", BOTH).unwrap();
    short.pad_to(3);
    assert_eq!(short.chunks(), 3);
    assert_eq!([&short.ids[77..154], &short.ids[154..]], [&empty.ids[..], &empty.ids[..]]);
    assert_eq!(short.weights[77..], [1.0; 154]);
    short.pad_to(1);
    let ids = short.tensor(Device::Cpu).unwrap();
    assert_eq!((ids.size(), ids.kind()), (vec![3, 77], Kind::Int64));
    assert_eq!(to_i64(&ids).unwrap(), short.ids);
}

#[test]
fn the_second_tokenizer_of_sdxl_is_the_first_with_another_pad() {
    let second = tokenizer("sdxl2");
    let made = tokenizer("sd15").with_pad("!").unwrap();
    for prompt in ["hi!!! there!", "", "a car"] {
        let [second, made] =
            [&second, &made].map(|t| t.encode(prompt, PromptOptions::default()).unwrap());
        assert_eq!(second, made, "{prompt}");
    }
    assert_eq!(made.pad(), 0);
    assert!(tokenizer("sd15").with_pad("no token").is_err());
}

/// `z' = w z mean(z) / mean(w z)`, a chunk at a time.
#[test]
fn weighted_states_keep_their_mean() {
    let prompt = SMALL.encode("a (red:1.5) BREAK [car] a", BOTH).unwrap();
    let z: Vec<f64> = (0..154 * 3).map(|i| (f64::from(i) * 0.37).sin() + 0.2).collect();
    let states = from_f64(&z, &[1, 154, 3]).unwrap();
    let found = to_f64(&prompt.apply_weights(&states).unwrap()).unwrap();
    for chunk in 0..2 {
        let z = &z[chunk * 231..][..231];
        let weights = prompt.weights[chunk * 77..][..77].iter().flat_map(|w| [w; 3]);
        let weighted: Vec<f64> = z.iter().zip(weights).map(|(z, w)| z * w).collect();
        let factor = z.iter().sum::<f64>() / weighted.iter().sum::<f64>();
        for (found, weighted) in found[chunk * 231..].iter().zip(weighted) {
            // Sums of 231 numbers in double precision, in another order.
            assert!((found - weighted * factor).abs() < 1e-13);
        }
    }
}

#[test]
fn weights_of_one_change_nothing_and_half_precision_stays() {
    let states = Tensor::ones([1, 77, 4], (Kind::BFloat16, Device::Cpu));
    let plain = SMALL.encode("(a:1)", WEIGHTED).unwrap();
    assert!(plain.apply_weights(&states).unwrap().equal(&states));
    let prompt = SMALL.encode("(a:3)", WEIGHTED).unwrap();
    let weighted = prompt.apply_weights(&states).unwrap();
    assert_eq!((weighted.kind(), weighted.size()), (Kind::BFloat16, vec![1, 77, 4]));
}

#[test]
fn states_that_cannot_be_weighted_are_refused() {
    let prompt = SMALL.encode("(a:3) BREAK a", BOTH).unwrap();
    let error = |prompt: &EncodedPrompt, shape: &[i64]| {
        let states = Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        prompt.apply_weights(&states).unwrap_err().to_string()
    };
    let shape = "hidden states has shape [1, 77, 4], expected [1, 154, dim]";
    assert_eq!(error(&prompt, &[1, 77, 4]), shape);
    error(&prompt, &[154, 4]);
    error(&prompt, &[2, 154, 4]);
    // A mean of zero cannot be restored.
    assert!(error(&prompt, &[1, 154, 4]).starts_with("a mean of weighted states is zero"));
}

proptest! {
    /// Chunks hold every word once, in order; and no text panics.
    #[test]
    fn chunks_are_the_words(prompt in "([a-z]{1,6}|[0-9]{1,9}|,| |é|猫|😀|\\PC|[\\x00-\\x1f]){0,120}") {
        let encoded = SMALL.encode(&prompt, LONG).unwrap();
        prop_assert_eq!(words(&SMALL, &encoded).concat(), SMALL.ids(&prompt).unwrap());
    }

    #[test]
    fn decoded_words_are_the_same_words(prompt in "[a-z ]{0,40}") {
        let ids = SMALL.ids(&prompt).unwrap();
        prop_assert_eq!(SMALL.ids(&SMALL.decode(&ids).unwrap()).unwrap(), ids);
    }
}
