//! The noise levels of a schedule.

use super::canvas::{Surface, draw, failed, px, text};
use super::curve::{range, short};
use super::{CLASSES, FAINT, GREY, INK};
use anyhow::{Result, ensure};
use image::RgbImage;
use plotters::prelude::*;

/// One row of `tweedie schedule`.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct Row {
    /// Where in the table, or the time on a path.
    pub(crate) t: f64,
    /// The factor of the data.
    pub(crate) alpha: f64,
    /// The factor of the noise.
    pub(crate) sigma: f64,
}

/// Draws sigma (and alpha, where it is not 1) and the half log-SNR of the levels.
pub(crate) fn levels(title: &str, rows: &[Row]) -> Result<RgbImage> {
    ensure!(!rows.is_empty(), "no levels to draw");
    let constant = rows.iter().all(|r| (r.alpha - 1.0).abs() < 1e-12);
    let line = |f: fn(&Row) -> f64| -> Vec<(f64, f64)> {
        rows.iter().enumerate().map(|(i, r)| (i as f64, f(r))).collect()
    };
    let lambda = line(|r| (r.alpha / r.sigma).ln());
    draw((960, 420), |surface| {
        let (left, right) = surface.split_horizontally(px(480));
        if constant {
            panel(&left, title, &[("log₁₀ σ", line(|r| r.sigma.log10()))])?;
        } else {
            panel(&left, title, &[("σ", line(|r| r.sigma)), ("α", line(|r| r.alpha))])?;
        }
        panel(&right, "λ = ln(α / σ)", &[("λ", lambda)])
    })
}

/// Named (index, value) pairs.
type Series<'a> = (&'a str, Vec<(f64, f64)>);

fn panel(area: &Surface<'_>, title: &str, lines: &[Series<'_>]) -> Result<()> {
    let shown = |line: &Series<'_>| line.1.clone().into_iter().filter(|p| p.1.is_finite());
    let (low, high) = range(lines.iter().flat_map(shown).map(|p| p.1));
    let pad = (0.05 * (high - low)).max(1e-6);
    let last = lines.iter().map(|l| l.1.len()).max().unwrap_or(1).max(2) as f64 - 1.0;
    let mut chart = ChartBuilder::on(area)
        .caption(title, text(15, INK))
        .margin(px(14))
        .margin_right(px(22))
        .x_label_area_size(px(38))
        .y_label_area_size(px(50))
        .build_cartesian_2d(0.0..last, low - pad..high + pad)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .bold_line_style(FAINT.stroke_width(px(1)))
        .light_line_style(WHITE)
        .axis_style(GREY.stroke_width(px(1)))
        .label_style(text(12, INK))
        .x_desc("index")
        .y_label_formatter(&|y| short(*y))
        .x_label_formatter(&|x| format!("{x:.0}"))
        .draw()
        .map_err(failed)?;
    for (i, line) in lines.iter().enumerate() {
        let color = CLASSES[i];
        let drawn = chart
            .draw_series(LineSeries::new(shown(line), color.stroke_width(px(2))))
            .map_err(failed)?;
        drawn.label(line.0).legend(move |(x, y)| {
            PathElement::new([(x, y), (x + px(14) as i32, y)], color.stroke_width(px(2)))
        });
        // A grid is few levels, a schedule many: only the first shows where they are.
        if line.1.len() <= 64 {
            let dot = |p| Circle::new(p, px(3), color.filled());
            chart.draw_series(shown(line).map(dot)).map_err(failed)?;
        }
    }
    chart
        .configure_series_labels()
        .label_font(text(12, INK))
        .legend_area_size(px(22))
        .margin(px(8))
        .draw()
        .map_err(failed)
}
