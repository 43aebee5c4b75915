//! An axis of a chart: from values to the unit interval, and round values to mark on the way.

use crate::picture::curve::log_ticks;

/// From `low` to `high`, evenly or by ratios.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    /// Values to mark, and what to write there.
    pub(super) ticks: Vec<(f64, String)>,
}

/// Beyond this ratio of the largest to the smallest value an axis is logarithmic.
const DECADES: f64 = 30.0;

impl Axis {
    /// For values of any sign, with a little room above and below.
    pub(super) fn linear(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = finite_range(values);
        let pad = match high - low {
            0.0 if high == 0.0 => 1.0,
            0.0 => 0.1 * high.abs(),
            width => 0.04 * width,
        };
        // What begins at nothing shows that it does.
        let zero = low >= 0.0 && (low <= 0.5 * high || low == high);
        let low = if zero { 0.0 } else { low - pad };
        Axis::evenly(low, high + pad, 0.0)
    }

    /// For step numbers: from the first to the last, without room.
    pub(super) fn steps(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = finite_range(values);
        let low = if low <= 0.5 * high { 0.0 } else { low };
        Axis::evenly(low, high.max(low + 1.0), 1.0)
    }

    /// Logarithmic if all values are above 0 and span decades, else linear.
    pub(super) fn fitting(values: impl Iterator<Item = f64> + Clone) -> Self {
        let (low, high) = finite_range(values.clone());
        if low > 0.0 && high / low > DECADES {
            Axis::logarithmic(low, high)
        } else {
            Axis::linear(values)
        }
    }

    /// For values above 0.
    pub(super) fn logarithmic(low: f64, high: f64) -> Self {
        let (low, high) = (low * 0.85, high * 1.15);
        let ticks = log_ticks(low, high).into_iter().map(|t| (t, power(t))).collect();
        Axis { low, high, log: true, ticks }
    }

    fn evenly(low: f64, high: f64, least_step: f64) -> Self {
        let step = round_step((high - low) / 6.0).max(least_step);
        let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
        let largest = low.abs().max(high.abs());
        let tick = |i: i64| (i as f64 * step, label(i as f64 * step, step, largest));
        let ticks = (first..=last).map(tick).collect();
        Axis { low, high, log: false, ticks }
    }

    /// Whether it goes by ratios.
    pub(super) fn is_logarithmic(&self) -> bool {
        self.log
    }

    /// Where `value` is: 0 at the low end, 1 at the high one; nothing for what has no place.
    pub(super) fn at(&self, value: f64) -> Option<f64> {
        let place = match self.log {
            true => (value / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        // Also false for what is not a number.
        (-0.001..=1.001).contains(&place).then_some(place)
    }
}

/// The least and the largest of those that are finite and not absurd; 0 and 1 if there are none.
pub(super) fn finite_range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let sane = values.filter(|v| v.abs() < 1e100);
    let (low, high) = sane.fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// The first of 1, 2, 5, 10, … times a power of ten that is not less.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|f| f * power >= step * 0.999);
    factor.unwrap_or(10.0) * power
}

/// A multiple of `step` on an axis up to `largest`, with as many digits as tell it from the next.
fn label(value: f64, step: f64, largest: f64) -> String {
    if value.abs() < step * 1e-6 {
        return "0".to_owned();
    }
    if !(1e-3..1e7).contains(&largest) {
        let digits = (value.abs().log10().floor() - step.log10().floor()).clamp(0.0, 6.0) as usize;
        return power(format!("{value:.digits$e}").parse().unwrap_or(value));
    }
    let digits = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    grouped(&format!("{value:.digits$}"))
}

/// A few digits and a power of ten, or all of it where that is short.
fn power(value: f64) -> String {
    match value.abs() {
        v if (1e-3..1e5).contains(&v) => grouped(&value.to_string()),
        _ => format!("{value:e}").replace('-', "−"),
    }
}

/// Digits in groups of three before the point, as ISO 80000 has them; a real minus sign.
fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("−", rest));
    let (whole, part) = digits.split_once('.').map_or((digits, None), |(w, p)| (w, Some(p)));
    let mut text = sign.to_owned();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && whole.len() > 4 && (whole.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    part.map_or(text.clone(), |part| format!("{text}.{part}"))
}

/// A count, in groups of three digits.
pub(super) fn count(number: u64) -> String {
    grouped(&number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::linear([0.0, 1.0].into_iter());
        assert_eq!(labels(&axis), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        let axis = Axis::steps([1.0, 60_000.0].into_iter());
        assert_eq!(
            labels(&axis),
            [
                "0",
                "10\u{202f}000",
                "20\u{202f}000",
                "30\u{202f}000",
                "40\u{202f}000",
                "50\u{202f}000",
                "60\u{202f}000"
            ]
        );
        assert_eq!(labels(&Axis::steps([1.0].into_iter())), ["1", "2"]);
        let lr = Axis::linear([0.0, 2e-4].into_iter());
        assert_eq!(labels(&lr), ["0", "5e−5", "1e−4", "1.5e−4", "2e−4"]);
        for (value, _) in &lr.ticks {
            assert!(lr.at(*value).is_some());
        }
        assert_eq!(labels(&Axis::linear([-3.0, 7.0].into_iter())), ["−2", "0", "2", "4", "6"]);
    }

    #[test]
    fn an_axis_is_logarithmic_where_values_span_decades() {
        let axis = Axis::fitting([0.01, 0.1, 10.0].into_iter());
        assert!(axis.is_logarithmic());
        assert_eq!(labels(&axis), ["0.01", "0.1", "1", "10"]);
        let (low, high) = (axis.at(0.1).unwrap(), axis.at(1.0).unwrap());
        assert!((high - low - (axis.at(10.0).unwrap() - high)).abs() < 1e-9, "decades are equal");
        assert!(!Axis::fitting([0.0, 10.0].into_iter()).is_logarithmic());
        assert_eq!(labels(&Axis::logarithmic(0.02, 0.9))[..3], ["0.02", "0.05", "0.1"]);
        assert!(!Axis::fitting([1.0, 2.0].into_iter()).is_logarithmic());
    }

    #[test]
    fn one_value_none_and_absurd_ones_have_an_axis() {
        for values in
            [&[][..], &[3.0], &[0.0], &[f64::NAN, f64::INFINITY], &[1e300, 1.0], &[-1e-30]]
        {
            for axis in
                [Axis::linear(values.iter().copied()), Axis::fitting(values.iter().copied())]
            {
                assert!(axis.low < axis.high, "{values:?}");
                assert!((1..20).contains(&axis.ticks.len()), "{values:?} {axis:?}");
            }
        }
        assert_eq!(Axis::linear([1.0, 2.0].into_iter()).at(f64::NAN), None);
        assert_eq!(Axis::linear([1.0, 2.0].into_iter()).at(5.0), None);
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!([0, 1797, 12_000, 1_234_567].map(count)[1..3], ["1797", "12\u{202f}000"]);
    }
}
