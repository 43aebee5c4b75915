//! The notation of weights.

use super::text_tokenizer::golden_folder;
use proptest::prelude::*;
use tweedie_sd::text::weighting::{escape, parse};

/// Made by a Python package that reads the web UI's notation, see `make.py`.
#[test]
fn prompts_are_read_as_by_the_web_ui() {
    let golden = std::fs::read_to_string(golden_folder().join("weights.json")).unwrap();
    let golden: Vec<(String, Vec<(String, f64)>)> = serde_json::from_str(&golden).unwrap();
    assert!(golden.len() > 60);
    for (prompt, expected) in golden {
        let parts = parse(&prompt);
        // The products are the same, in the same order: to the last bit.
        assert_eq!(parts, expected, "{prompt:?}");
    }
}

/// Where the web UI stops with an error.
#[test]
fn what_is_no_number_is_text() {
    let text = |s: &str, weight| vec![(s.to_owned(), weight)];
    assert_eq!(parse("(a:1.2.3)"), text("a:1.2.3", 1.1));
    assert_eq!(parse("(a:.)"), text("a:.", 1.1));
    assert_eq!(parse("(a:inf)"), text("a:inf", 1.1));
}

proptest! {
    #[test]
    fn text_without_marks_has_weight_one(text in r"[^\\()\[\]:]*") {
        prop_assert_eq!(parse(&text), [(text, 1.0)]);
    }

    #[test]
    fn escaped_text_comes_back(text in any::<String>()) {
        prop_assert_eq!(parse(&escape(&text)), [(text, 1.0)]);
    }

    #[test]
    fn a_written_weight_is_the_weight(text in "[a-z ]{1,9}", weight in -1e6..1e6) {
        prop_assert_eq!(parse(&format!("({text}:{weight})")), [(text, weight)]);
    }

    #[test]
    fn brackets_nest(text in "[a-z]{1,9}", round in 0..20_usize, square in 0..20_usize) {
        let open = "(".repeat(round) + &"[".repeat(square);
        let close = "]".repeat(square) + &")".repeat(round);
        let parts = parse(&format!("{open}{text}{close}"));
        prop_assert_eq!(&parts[0].0, &text);
        let expected = 1.1_f64.powi(round as i32 - square as i32);
        // Forty rounded products.
        prop_assert!((parts[0].1 / expected - 1.0).abs() < 1e-14);
    }

    #[test]
    fn every_string_has_a_meaning(prompt in r"[\\()\[\]: .0-9a-cé😀-]*") {
        let parts = parse(&prompt);
        prop_assert!(parts.windows(2).all(|pair| pair[0].1 != pair[1].1));
        // Nothing is made up: what is left is in the prompt, in its order.
        let mut written = prompt.chars();
        let text: String = parts.into_iter().map(|(text, _)| text).collect();
        prop_assert!(text.chars().all(|c| written.any(|w| w == c)), "{text:?}");
    }
}
