//! The loss of a run.

use super::canvas::{draw, failed, px, text};
use super::{CLASSES, FAINT, GREY, INK};
use anyhow::{Result, ensure};
use image::RgbImage;
use plotters::prelude::*;

/// Draws (step, loss) with a logarithmic loss axis: every value in grey, a running mean over it.
pub(crate) fn loss(title: &str, points: &[(f64, f64)], size: (u32, u32)) -> Result<RgbImage> {
    let points: Vec<_> = points.iter().copied().filter(|p| p.1.is_finite() && p.1 > 0.0).collect();
    ensure!(!points.is_empty(), "no losses to draw");
    let smooth = running_mean(&points, (points.len() / 50).max(1));
    let (low, high) = range(points.iter().map(|p| p.1));
    let first = points[0].0.min(1.0);
    let last = points[points.len() - 1].0.max(first + 1.0);
    let (low, high) = (low * 0.9, high * 1.1);
    draw(size, |surface| {
        let axis = (low..high).log_scale().with_key_points(log_ticks(low, high));
        let mut chart = ChartBuilder::on(surface)
            .caption(title, text(16, INK))
            .margin(px(14))
            .margin_right(px(28))
            .x_label_area_size(px(38))
            .y_label_area_size(px(56))
            .build_cartesian_2d(first..last, axis)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .bold_line_style(FAINT.stroke_width(px(1)))
            .light_line_style(WHITE)
            .axis_style(GREY.stroke_width(px(1)))
            .label_style(text(13, INK))
            .x_desc("step")
            .y_desc("loss")
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| short(*y))
            .draw()
            .map_err(failed)?;
        let raw = GREY.mix(0.45).stroke_width(px(1));
        chart.draw_series(LineSeries::new(points.iter().copied(), raw)).map_err(failed)?;
        let mean = CLASSES[0].stroke_width(px(2));
        chart.draw_series(LineSeries::new(smooth, mean)).map_err(failed)?;
        Ok(())
    })
}

/// 1, 2 and 5 times the powers of ten in between; powers alone if those are many.
pub(crate) fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let factors: &[f64] = if decades.clone().count() > 5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let at = decades.flat_map(|d| factors.iter().map(move |f| f * 10_f64.powi(d)));
    at.filter(|t| (low..=high).contains(t)).collect()
}

/// Three digits, without an exponent where that reads better.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if !(1e-3..1e5).contains(&v) => format!("{value:.0e}"),
        v if v >= 100.0 => format!("{value:.0}"),
        v => {
            let digits = (2.0 - v.log10().floor()).clamp(0.0, 5.0) as usize;
            let text = format!("{value:.digits$}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

pub(super) fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)))
}

/// The mean of the last `window` values, at each value.
pub(crate) fn running_mean(points: &[(f64, f64)], window: usize) -> Vec<(f64, f64)> {
    let mut sum = 0.0;
    let mut mean = Vec::with_capacity(points.len());
    for (i, &(step, value)) in points.iter().enumerate() {
        sum += value;
        if i >= window {
            sum -= points[i - window].1;
        }
        mean.push((step, sum / window.min(i + 1) as f64));
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_runs() {
        let points = [(1.0, 1.0), (2.0, 3.0), (3.0, 5.0)];
        assert_eq!(running_mean(&points, 2), [(1.0, 1.0), (2.0, 2.0), (3.0, 4.0)]);
    }

    #[test]
    fn ticks_lie_inside() {
        assert_eq!(log_ticks(0.15, 3.0), [0.2, 0.5, 1.0, 2.0]);
        assert_eq!(log_ticks(0.5, 2e6).len(), 7);
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.005, 0.25, 14.6146, 157.4, 3e-5, 2.5e6].map(short);
        assert_eq!(shown, ["0", "0.005", "0.25", "14.6", "157", "3e-5", "2e6"]);
    }
}
