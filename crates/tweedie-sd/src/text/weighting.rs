//! Weights of words, in the notation of the AUTOMATIC1111 web UI.
//!
//! | written | weight |
//! |---|---|
//! | `(word)` | × 1.1 |
//! | `((word))` | × 1.1² |
//! | `(word:1.4)` | × 1.4, instead of 1.1 |
//! | `[word]` | ÷ 1.1 |
//! | `\(word\)` | the brackets are text |
//!
//! Brackets nest, and weights within weights multiply. A bracket that is never closed ends with
//! the prompt; one that was never opened is text. A backslash that escapes no bracket and no
//! backslash is dropped. The web UI's other notations, such as `[from:to:when]` and `<lora:…>`,
//! are not known here.

/// What a pair of round brackets multiplies with, and a pair of square ones divides by.
const STEP: f64 = 1.1;

/// Splits a prompt into texts with their weights, in order; neighbours differ in weight.
///
/// Every string has a meaning, so this cannot fail; but a weight may be infinite, where more than
/// seven thousand brackets nest.
///
/// ```
/// use tweedie_sd::text::weighting::parse;
///
/// let parts = parse(r"a (red:1.3) [small] \(cat\)");
/// let expected =
///     [("a ", 1.0), ("red", 1.3), (" ", 1.0), ("small", 1.0 / 1.1), (" (cat)", 1.0)];
/// assert_eq!(parts, expected.map(|(text, weight)| (text.to_owned(), weight)));
/// ```
pub fn parse(prompt: &str) -> Vec<(String, f64)> {
    let mut parts: Vec<(String, f64)> = Vec::new();
    let (mut round, mut square) = (Vec::new(), Vec::new());
    let mut rest = prompt;
    while let Some((mark, after)) = next_mark(rest) {
        let written = &rest[..rest.len() - after.len()];
        let (opened, factor) = match mark {
            Mark::OpenRound => {
                round.push(parts.len());
                (None, STEP)
            }
            Mark::OpenSquare => {
                square.push(parts.len());
                (None, STEP)
            }
            Mark::CloseRound(factor) => (round.pop(), factor),
            Mark::CloseSquare => (square.pop(), 1.0 / STEP),
            Mark::Text => (None, 1.0),
        };
        match (opened, mark) {
            (Some(start), _) => multiply(&mut parts[start..], factor),
            (None, Mark::OpenRound | Mark::OpenSquare) => {}
            // What closes nothing is text.
            (None, _) => parts.push((unescaped(written).to_owned(), 1.0)),
        }
        rest = after;
    }
    for start in round {
        multiply(&mut parts[start..], STEP);
    }
    for start in square {
        multiply(&mut parts[start..], 1.0 / STEP);
    }
    merged(parts)
}

/// Writes a text so that [`parse`] gives it back with weight 1.
///
/// ```
/// use tweedie_sd::text::weighting::{escape, parse};
///
/// assert_eq!(escape("smile :)"), r"smile :\)");
/// assert_eq!(parse(&escape("smile :)")), [("smile :)".to_owned(), 1.0)]);
/// ```
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\()[]".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// What stands next in a prompt.
#[derive(Clone, Copy)]
enum Mark {
    Text,
    OpenRound,
    OpenSquare,
    /// `)`, or a number before it.
    CloseRound(f64),
    CloseSquare,
}

/// The next mark, and what comes after it.
fn next_mark(rest: &str) -> Option<(Mark, &str)> {
    let mut chars = rest.chars();
    let mark = match chars.next()? {
        '(' => Mark::OpenRound,
        '[' => Mark::OpenSquare,
        ')' => Mark::CloseRound(STEP),
        ']' => Mark::CloseSquare,
        '\\' => {
            let escaped = chars.clone().next().filter(|c| r"\()[]".contains(*c));
            return Some((Mark::Text, &rest[1 + escaped.map_or(0, char::len_utf8)..]));
        }
        ':' => match weight(chars.as_str()) {
            Some((factor, after)) => return Some((Mark::CloseRound(factor), after)),
            None => Mark::Text,
        },
        _ => {
            let end = rest.find(|c| r"\()[]:".contains(c)).unwrap_or(rest.len());
            return Some((Mark::Text, &rest[end..]));
        }
    };
    Some((mark, chars.as_str()))
}

/// Reads `1.4)`, with spaces around the number.
fn weight(text: &str) -> Option<(f64, &str)> {
    let within = |c: char| c.is_ascii_digit() || ".+-".contains(c) || c.is_whitespace();
    let end = text.find(|c| !within(c))?;
    let after = text[end..].strip_prefix(')')?;
    Some((text[..end].trim().parse().ok()?, after))
}

/// Without the backslash before an escaped character, or alone.
fn unescaped(written: &str) -> &str {
    written.strip_prefix('\\').unwrap_or(written)
}

fn multiply(parts: &mut [(String, f64)], factor: f64) {
    for (_, weight) in parts {
        *weight *= factor;
    }
}

/// Neighbours of one weight as one text. A prompt without text is one empty text.
fn merged(parts: Vec<(String, f64)>) -> Vec<(String, f64)> {
    let mut merged: Vec<(String, f64)> = Vec::new();
    for (text, weight) in parts {
        match merged.last_mut() {
            Some((before, same)) if *same == weight => before.push_str(&text),
            _ => merged.push((text, weight)),
        }
    }
    if merged.is_empty() {
        merged.push((String::new(), 1.0));
    }
    merged
}
