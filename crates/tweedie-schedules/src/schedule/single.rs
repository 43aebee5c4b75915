//! Tables in single precision, operation by operation as torch computes them.

/// `torch.linspace(start, end, n)`.
pub(super) fn linspace(start: f64, end: f64, n: usize) -> impl Iterator<Item = f32> {
    let (start, end) = (start as f32, end as f32);
    let step = (end - start) / n.saturating_sub(1).max(1) as f32;
    (0..n).map(
        move |i| {
            if i < n / 2 { start + step * i as f32 } else { end - step * (n - 1 - i) as f32 }
        },
    )
}
