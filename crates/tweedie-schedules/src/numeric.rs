//! A few functions that the standard library lacks.

/// `n` numbers from `start` to `end`, both exact; only `start` for `n = 1`.
pub(crate) fn linspace(start: f64, end: f64, n: usize) -> impl ExactSizeIterator<Item = f64> {
    let step = (end - start) / n.saturating_sub(1).max(1) as f64;
    // From either end to the middle, as NumPy's and torch's users expect: both ends are exact.
    (0..n).map(move |i| {
        if i < n.div_ceil(2) { start + step * i as f64 } else { end - step * (n - 1 - i) as f64 }
    })
}
