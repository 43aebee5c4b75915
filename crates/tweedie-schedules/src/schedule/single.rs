//! Tables in single precision, operation by operation as torch computes them on a CPU.

/// `torch.linspace(start, end, n)`: from both ends to the middle, in fused multiply-adds.
pub(super) fn linspace(start: f64, end: f64, n: usize) -> impl Iterator<Item = f32> {
    let (start, end) = (start as f32, end as f32);
    let step = (end - start) / n.saturating_sub(1).max(1) as f32;
    (0..n).map(move |i| {
        if i < n / 2 {
            step.mul_add(i as f32, start)
        } else {
            (-step).mul_add((n - 1 - i) as f32, end)
        }
    })
}

/// `torch.logspace(log10(start), log10(end), n)`: only the ends, their difference and the powers
/// are rounded to single precision.
pub(super) fn logspace(start: f64, end: f64, n: usize) -> impl Iterator<Item = f32> {
    let (start, end) = (start.log10() as f32, end.log10() as f32);
    let step = f64::from(end - start) / n.saturating_sub(1).max(1) as f64;
    let (start, end) = (f64::from(start), f64::from(end));
    (0..n).map(move |i| {
        let exponent =
            if i < n / 2 { start + step * i as f64 } else { end - step * (n - 1 - i) as f64 };
        10_f64.powf(exponent) as f32
    })
}

/// `torch.sigmoid(x)`.
pub(super) fn sigmoid(x: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(x)).exp())) as f32
}

/// `sqrt(1/cumprod(1 − beta) − 1)`; torch keeps the running product in double precision.
pub(super) fn sigmas_from_betas(betas: impl Iterator<Item = f32>) -> Vec<f64> {
    let mut product = 1.0_f64;
    let sigma = |beta: f32| {
        product *= f64::from(1.0 - beta);
        f64::from((1.0 / (product as f32) - 1.0).sqrt())
    };
    betas.map(sigma).collect()
}
